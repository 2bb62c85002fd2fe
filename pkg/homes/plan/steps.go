package plan

import "errors"

// Step is one change that the kernel makes as a whole. A driver that is killed between two steps leaves a state that the
// next call plans on from.
type Step string

// The steps.
const (
	MakeFolder   Step = "make the folder"
	MountEmpty   Step = "mount the empty folder"
	BindHome     Step = "bind the home"
	Unmount      Step = "unmount what lies on top"
	RemoveFolder Step = "remove the folder"
)

// Identity tells folders apart that have one name at different times, or two names at one.
type Identity struct{ Device, Inode uint64 }

// State is what is at a target. All of it can be asked of the kernel, so that the driver keeps none itself.
type State struct {
	Folder bool    // there is a folder
	Mounts []Mount // on it, the lowest first
	Top    Identity
}

// ErrForeign says that another program mounted something on a target.
var ErrForeign = errors.New("something else is mounted on the pod's folder")

// ErrOther says that the pod has another home than it was claimed for. A pod gets one home in its life: processes may
// still be in the first one.
var ErrOther = errors.New("the pod has another home already")

// published reports whether the empty folder is mounted.
func (s State) published() bool { return len(s.Mounts) > 0 }

// Bound reports whether a home lies over the empty folder.
func (s State) Bound() bool { return len(s.Mounts) > 1 }

func (s State) check() error {
	if len(s.Mounts) > 2 || s.published() && (s.Mounts[0].Type != "tmpfs" || s.Mounts[0].Source != EmptySource) {
		return ErrForeign
	}
	return nil
}

// Publish returns the steps from a state to an empty folder, with the home over it if there is one.
//
// The empty folder is a mount of its own, on another device than the kubelet's folders. What removes files and folders
// below a pod's folder stops at it, whatever is mounted over it.
func Publish(s State, home *Identity) (steps []Step, err error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if s.Bound() && home != nil && s.Top != *home {
		return nil, ErrOther
	}
	if !s.Folder {
		steps = append(steps, MakeFolder)
	}
	if !s.published() {
		steps = append(steps, MountEmpty)
	}
	if !s.Bound() && home != nil {
		steps = append(steps, BindHome)
	}
	return steps, nil
}

// Claim is Publish for a pod that was claimed while it ran. Before its folder is published, and after it was taken away,
// nothing is mounted: there is no pod that waits for it.
func Claim(s State, home Identity) ([]Step, error) {
	if !s.published() {
		return nil, nil
	}
	return Publish(s, &home)
}

// Unpublish returns the steps from any state to no folder. What is mounted on it goes first, whoever mounted it, and the
// folder is removed only as an empty one: a home is never on the way of what removes.
func Unpublish(s State) (steps []Step) {
	for range s.Mounts {
		steps = append(steps, Unmount)
	}
	if s.Folder {
		steps = append(steps, RemoveFolder)
	}
	return steps
}
