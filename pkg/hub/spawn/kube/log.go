package kube

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/hub/podlog"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

const (
	// logStands is how long a log that was read is shown again: a page that is reloaded all the time
	// costs others no place in the client's rate limit.
	logStands = 2 * time.Second
	// logWait bounds one question. The API asks the node, which may be slow or gone.
	logWait = 5 * time.Second
	// maxLog bounds in bytes what is read of a log, of which podlog.MaxBytes are shown.
	maxLog = 4 << 20
	// maxLogs bounds the logs that are kept for logStands.
	maxLogs = 200
)

// readLogs are those that were read a moment ago, by the pod.
type readLogs struct {
	mu    sync.Mutex
	known map[types.UID]readLog
}

type readLog struct {
	spawn.Log
	at time.Time
}

// Log returns the end of what a server wrote. All who ask at one moment get one answer.
func (c *Cluster) Log(ctx context.Context, id server.ID) (spawn.Log, error) {
	pod := c.cached(id)
	if pod == nil {
		return spawn.Log{}, nil
	}
	if known, ok := c.logs.get(pod.UID, c.now()); ok {
		return known, nil
	}
	answer := c.asked.DoChan("log "+string(pod.UID), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logWait)
		defer cancel()
		log, err := c.readLog(ctx, pod)
		if err == nil {
			c.logs.put(pod.UID, log, c.now())
		}
		return log, err
	})
	select {
	case a := <-answer:
		log, _ := a.Val.(spawn.Log)
		return log, a.Err
	case <-ctx.Done():
		return spawn.Log{}, problem("read log", ctx.Err())
	}
}

func (c *Cluster) readLog(ctx context.Context, pod *corev1.Pod) (log spawn.Log, err error) {
	if log.Now, err = c.readRun(ctx, pod, false); err == nil && spawn.Restarts(pod) {
		log.Before, err = c.readRun(ctx, pod, true)
	}
	return log, err
}

// readRun reads the log of one run of a pod's container; "" where there is none.
func (c *Cluster) readRun(ctx context.Context, pod *corev1.Pod, previous bool) (string, error) {
	stream, err := c.reads.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
		Container: spawn.Container, Previous: previous, TailLines: new(int64(spawn.LogLines)), LimitBytes: new(int64(maxLog)),
	}).Stream(ctx)
	// BadRequest: the container has not started, or the node has no log of the run before.
	if apierrors.IsNotFound(err) || apierrors.IsBadRequest(err) {
		return "", nil
	}
	if err != nil {
		return "", problem("read log", err)
	}
	defer func() { _ = stream.Close() }()
	text, err := podlog.Tail(stream)
	if err != nil {
		return "", problem("read log", err)
	}
	return podlog.Text(text), nil
}

func (l *readLogs) get(uid types.UID, now time.Time) (spawn.Log, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.known[uid]
	return known.Log, ok && now.Sub(known.at) < logStands
}

func (l *readLogs) put(uid types.UID, log spawn.Log, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for other, known := range l.known {
		if now.Sub(known.at) >= logStands {
			delete(l.known, other)
		}
	}
	if len(l.known) < maxLogs {
		l.known[uid] = readLog{log, now}
	}
}
