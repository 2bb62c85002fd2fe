package plan

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

const (
	root = "/var/lib/kubelet"
	some = "0f6e3a52-5b5c-4a2b-9a53-2f3d1c0b9a11"
)

func TestParseTarget(t *testing.T) {
	t.Parallel()
	good := root + "/pods/" + some + "/volumes/kubernetes.io~csi/home/mount"
	if got, err := ParseTarget(root, good); err != nil || got.Pod != some || got.Volume != "home" || got.Path(root) != good {
		t.Fatalf("%+v %v", got, err)
	}
	for name, bad := range map[string]string{
		"empty":                "",
		"another folder":       "/etc",
		"a home itself":        "/exports/homes/alice",
		"the pod's folder":     root + "/pods/" + some,
		"another driver's":     strings.Replace(good, "~csi", "~empty-dir", 1),
		"out of the volume":    good + "/../../../../../../etc",
		"dots in the volume":   strings.Replace(good, "/home/", "/../", 1),
		"dots for the pod":     strings.Replace(good, some, "..", 1),
		"no UID":               strings.Replace(good, some, "alice", 1),
		"below the target":     good + "/x",
		"with a slash more":    strings.Replace(good, "/volumes/", "//volumes/", 1),
		"with a slash behind":  good + "/",
		"another root":         strings.Replace(good, root, "/srv/kubelet", 1),
		"a root inside a root": root + good,
	} {
		if got, err := ParseTarget(root, bad); err == nil {
			t.Errorf("%s: %q is taken as %+v", name, bad, got)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	f.Add(root + "/pods/" + some + "/volumes/kubernetes.io~csi/home/mount")
	f.Add(root + "/pods/../volumes/kubernetes.io~csi/../mount")
	f.Fuzz(func(t *testing.T, folder string) {
		if got, err := ParseTarget(root, folder); err == nil && (got.Path(root) != folder || strings.Contains(folder, "..")) {
			t.Errorf("%q is taken as %+v", folder, got)
		}
	})
}

const mountinfo = `27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
42 27 254:0 /var/lib/kubelet /var/lib/kubelet rw,relatime shared:1 - ext4 /dev/vda rw
43 42 0:40 / /var/lib/kubelet/pods/x/mount ro,nosuid shared:2 master:1 - tmpfs perijove-home ro
44 43 254:0 /homes/a\040b /var/lib/kubelet/pods/x/mount rw,nosuid shared:3 - ext4 /dev/vda rw
45 42 0:41 / /var/lib/kubelet/pods/a\134b\011c rw - tmpfs tmpfs rw
`

func TestParseMounts(t *testing.T) {
	t.Parallel()
	mounts, err := ParseMounts(mountinfo)
	if err != nil || len(mounts) != 5 || mounts[4].Point != root+"/pods/a\\b\tc" {
		t.Fatalf("%+v %v", mounts, err)
	}
	stack := At(mounts, root+"/pods/x/mount")
	if len(stack) != 2 || stack[0] != (Mount{Point: root + "/pods/x/mount", Source: EmptySource, Type: "tmpfs", Shared: true}) || stack[1].Type != "ext4" {
		t.Errorf("on the target: %+v", stack)
	}
	for folder, want := range map[string]bool{"/": false, "/var/lib": false, root: true, root + "/pods": true, root + "-2": false} {
		if SharedWith(mounts, folder) != want {
			t.Errorf("%s shared: %v", folder, !want)
		}
	}
	for _, bad := range []string{"\n", "27 1 254:0 / / rw - ", "27 1 254:0 / / rw ext4 /dev/vda rw", "27 1 - ext4 /dev/vda rw"} {
		if _, err := ParseMounts(bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func FuzzParseMounts(f *testing.F) {
	f.Add(mountinfo)
	f.Fuzz(func(t *testing.T, text string) {
		if mounts, err := ParseMounts(text); err == nil {
			SharedWith(mounts, root)
		}
	})
}

var (
	empty = Mount{Type: "tmpfs", Source: EmptySource}
	ext4  = Mount{Type: "ext4", Source: "/dev/vda"}
	alice = Identity{1, 2}
	bob   = Identity{1, 3}
)

func TestSteps(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state State
		home  *Identity
		want  []Step
		err   error
	}{
		"a new pod":                                {State{}, nil, []Step{MakeFolder, MountEmpty}, nil},
		"killed after the folder":                  {State{Folder: true}, nil, []Step{MountEmpty}, nil},
		"published again":                          {State{Folder: true, Mounts: []Mount{empty}}, nil, nil, nil},
		"claimed":                                  {State{Folder: true, Mounts: []Mount{empty}}, &alice, []Step{BindHome}, nil},
		"claimed, and the machine starts anew":     {State{Folder: true}, &alice, []Step{MountEmpty, BindHome}, nil},
		"claimed before it is published":           {State{}, &alice, []Step{MakeFolder, MountEmpty, BindHome}, nil},
		"an order that comes again":                {State{Folder: true, Mounts: []Mount{empty, ext4}, Top: alice}, &alice, nil, nil},
		"published again, with the home":           {State{Folder: true, Mounts: []Mount{empty, ext4}, Top: alice}, nil, nil, nil},
		"a second home":                            {State{Folder: true, Mounts: []Mount{empty, ext4}, Top: bob}, &alice, nil, ErrOther},
		"a home that cannot be asked":              {State{Folder: true, Mounts: []Mount{empty, ext4}}, &alice, nil, ErrOther},
		"something else is mounted":                {State{Folder: true, Mounts: []Mount{ext4}}, &alice, nil, ErrForeign},
		"something else is mounted over the home":  {State{Folder: true, Mounts: []Mount{empty, ext4, ext4}, Top: alice}, &alice, nil, ErrForeign},
		"a tmpfs of another program":               {State{Folder: true, Mounts: []Mount{{Type: "tmpfs", Source: "tmpfs"}}}, nil, nil, ErrForeign},
		"another file system with the tmpfs' name": {State{Folder: true, Mounts: []Mount{{Type: "ext4", Source: EmptySource}}}, nil, nil, ErrForeign},
	} {
		if got, err := Publish(c.state, c.home); !slices.Equal(got, c.want) || !errors.Is(err, c.err) {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
	// A claim that comes before the folder, or after it was taken away, must not make one that no call removes.
	for _, s := range []State{{}, {Folder: true}} {
		if got, err := Claim(s, alice); got != nil || err != nil {
			t.Errorf("claimed without a published folder: %q %v", got, err)
		}
	}
	if got, _ := Claim(State{Folder: true, Mounts: []Mount{empty}}, alice); !slices.Equal(got, []Step{BindHome}) {
		t.Errorf("claimed: %q", got)
	}
}

// Nothing is removed before all that is mounted is gone, whatever it is, and nothing is removed twice.
func TestUnpublishUnmountsFirst(t *testing.T) {
	t.Parallel()
	for _, s := range []State{{}, {Folder: true}, {Folder: true, Mounts: []Mount{empty}}, {Folder: true, Mounts: []Mount{empty, ext4}}, {Folder: true, Mounts: []Mount{ext4, ext4, ext4}}} {
		steps := Unpublish(s)
		for i, step := range steps {
			if want := i < len(s.Mounts); (step == Unmount) != want || !want && (step != RemoveFolder || i != len(steps)-1) {
				t.Errorf("%+v: %q", s, steps)
			}
		}
		if s.Folder != slices.Contains(steps, RemoveFolder) {
			t.Errorf("%+v: %q", s, steps)
		}
	}
}
