package spawn

// Message names a sentence of pkg/web (locales/*.json).
type Message string

// Messages of steps and failures.
const (
	MsgRequested     Message = "progress.requested"
	MsgUnschedulable Message = "progress.unschedulable"
	MsgNoNode        Message = "progress.no_node"
	MsgNoCores       Message = "progress.no_cores"
	MsgNoMemory      Message = "progress.no_memory"
	MsgNoGPU         Message = "progress.no_gpu"
	MsgNoDevice      Message = "progress.no_device"
	MsgScheduled     Message = "progress.scheduled"
	MsgMountRetry    Message = "progress.mount_retry"
	MsgVolume        Message = "progress.volume"
	MsgPulling       Message = "progress.pulling"
	MsgPulled        Message = "progress.pulled"
	MsgCreated       Message = "progress.created"
	MsgStarted       Message = "progress.started"
	MsgSlow          Message = "progress.slow"
	MsgRestarted     Message = "progress.restarted"
	MsgRestartedOOM  Message = "progress.restarted_oom"
	MsgSecret        Message = "progress.secret"
	MsgQueued        Message = "progress.queued"
	MsgQueueNext     Message = "progress.queue_next"
	MsgAnswering     Message = "progress.answering"
	MsgRoute         Message = "progress.route"
	MsgReady         Message = "progress.ready"
	MsgStopping      Message = "progress.stopping"
	MsgRestarting    Message = "progress.restarting"
	MsgNote          Message = "progress.note"
	MsgHomeSize      Message = "progress.home_size"

	MsgNoCoresAndMemory Message = "progress.no_cores_and_memory"

	MsgWarnAge         Message = "warning.age"
	MsgWarnIdle        Message = "warning.idle"
	MsgNoticeAge       Message = "notice.age"
	MsgNoticeIdle      Message = "notice.idle"
	MsgNoticeOOM       Message = "notice.oom"
	MsgNoticeRestarted Message = "notice.restarted"

	MsgImage        Message = "failure.image"
	MsgConfig       Message = "failure.config"
	MsgCrash        Message = "failure.crash"
	MsgOOM          Message = "failure.oom"
	MsgMount        Message = "failure.mount"
	MsgPod          Message = "failure.pod"
	MsgEvicted      Message = "failure.evicted"
	MsgDisk         Message = "failure.disk"
	MsgShutdown     Message = "failure.shutdown"
	MsgNotTaken     Message = "failure.not_taken"
	MsgTimeout      Message = "failure.timeout"
	MsgVolumeLate   Message = "failure.volume_late"
	MsgRoomLate     Message = "failure.room_late"
	MsgGPULate      Message = "failure.gpu_late"
	MsgNodeLate     Message = "failure.node_late"
	MsgUnseenLate   Message = "failure.unseen_late"
	MsgPullLate     Message = "failure.pull_late"
	MsgLost         Message = "failure.lost"
	MsgSilent       Message = "failure.silent"
	MsgQuota        Message = "failure.quota"
	MsgRefused      Message = "failure.refused"
	MsgRouteRefused Message = "failure.route_refused"
	MsgConflict     Message = "failure.conflict"
	MsgPublished    Message = "failure.published"
	MsgUnavailable  Message = "failure.unavailable"
	MsgStopWait     Message = "failure.stopping"
	MsgBusy         Message = "failure.busy"
	MsgTooMany      Message = "failure.too_many"
	MsgTooManyHomes Message = "failure.too_many_homes"
	MsgProfile      Message = "failure.profile"
	MsgChoice       Message = "failure.choice"
	MsgChoices      Message = "failure.choices"
	MsgNoProfile    Message = "failure.no_profile"

	MsgOverServers Message = "failure.over_servers"
	MsgOverCPU     Message = "failure.over_cpu"
	MsgOverMemory  Message = "failure.over_memory"
	MsgOverExtra   Message = "failure.over_extra"
	MsgOverStorage Message = "failure.over_storage"
	MsgOverWeek    Message = "failure.over_week"
	MsgOverMonth   Message = "failure.over_month"

	MsgFreeAt       Message = "free.at"
	MsgFreeStop     Message = "free.stop"
	MsgFreeStopAt   Message = "free.stop_at"
	MsgFreeOthers   Message = "free.others"
	MsgFreeOthersAt Message = "free.others_at"
	MsgFreeSmaller  Message = "free.smaller"
	MsgFreeStorage  Message = "free.storage"
)

// Messages lists them all, so that a test can check that each has its sentences.
func Messages() []Message {
	return []Message{
		MsgNoNode, MsgNoCores, MsgNoMemory, MsgNoGPU, MsgNoDevice, MsgNoCoresAndMemory,
		MsgEvicted, MsgDisk, MsgShutdown, MsgNotTaken, MsgGPULate, MsgNodeLate, MsgUnseenLate,
		MsgRequested, MsgUnschedulable, MsgScheduled, MsgMountRetry, MsgVolume, MsgPulling, MsgPulled, MsgCreated, MsgStarted, MsgSlow,
		MsgRestarted, MsgRestartedOOM, MsgQueued, MsgQueueNext, MsgWarnAge, MsgWarnIdle, MsgNoticeAge, MsgNoticeIdle, MsgNoticeOOM, MsgNoticeRestarted, MsgSecret, MsgAnswering, MsgRoute, MsgReady, MsgStopping, MsgRestarting, MsgNote, MsgHomeSize,
		MsgImage, MsgConfig, MsgCrash, MsgOOM, MsgMount, MsgPod, MsgTimeout,
		MsgVolumeLate, MsgRoomLate, MsgPullLate, MsgLost, MsgSilent, MsgQuota, MsgRefused, MsgRouteRefused, MsgConflict,
		MsgPublished, MsgUnavailable, MsgStopWait, MsgBusy, MsgTooMany, MsgTooManyHomes, MsgProfile, MsgChoice, MsgChoices, MsgNoProfile,
		MsgOverServers, MsgOverCPU, MsgOverMemory, MsgOverExtra, MsgOverStorage, MsgOverWeek, MsgOverMonth,
		MsgFreeAt, MsgFreeStop, MsgFreeStopAt, MsgFreeOthers, MsgFreeOthersAt, MsgFreeSmaller, MsgFreeStorage,
	}
}

// Problem is why a server could not be started or stopped, with words for users.
type Problem struct {
	Message Message
	Next    Message // a second sentence with the same data: when it works again; "" for none
	Data    map[string]string
	Detail  string // the cluster's own words; untrusted, to be escaped
	Err     error  // the cause, for the log
}

// Error is for logs; users read the message.
func (p *Problem) Error() string {
	s := string(p.Message)
	if p.Err != nil {
		s += ": " + p.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Err }
