package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/kubectl"
	"github.com/perijove/perijove/test/wait"
)

// claim makes a volume that several pods may write, as an administrator would, until the test
// ends. Servers that mount it must be stopped by then.
func claim(t *testing.T, name string) {
	t.Helper()
	claims := cluster(t).CoreV1().PersistentVolumeClaims(servers)
	_, err := claims.Create(t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("100Mi")}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = claims.Delete(context.Background(), name, metav1.DeleteOptions{}) })
}

// storageProfile puts a profile called slug and shared volumes into force until the test ends.
func storageProfile(t *testing.T, p *person, slug, override, shared string) {
	t.Helper()
	list, write := profileList(t)
	const none = "shared_volumes: []"
	if strings.Count(list, none) != 1 {
		t.Fatalf("the list of profiles has no %q", none)
	}
	list = strings.Replace(list, none, "shared_volumes: ["+shared+"]", 1)
	write(list + "  - display_name: " + slug + "\n    slug: " + slug + "\n    kubespawner_override: { " + override + " }\n")
	wait.Within(t, 5*time.Second, "the form has the new profile", func() bool {
		return strings.Contains(p.page(contract.PathSpawn), `value="`+slug+`"`)
	})
}

// python runs a program in a user's server, and returns what it printed.
func python(ctx context.Context, user, program string) (string, error) {
	cmd := exec.CommandContext(ctx, kubectl.Path(), "--namespace", servers, "exec", spawn.PodName(server.ID{User: user}), "--", "python3", "-c", program)
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("in %s's server: %w: %s", user, err, problem.String())
	}
	return strings.TrimSpace(out.String()), nil
}

func mustPython(t *testing.T, user, program string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := python(ctx, user, program)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// meeting writes a line every 10 ms until it has read one that the other wrote after its first,
// and then a last one for the other to read: it ends only if both write at one time.
const meeting = `
import sys, time
me, other, path = %q, %q, "/shared/e2e-team/log"
def write(n):
    with open(path, "a") as f:
        f.write(f"{me} {n}\n")
for n in range(2000):
    write(n)
    if any(line.startswith(other) for line in open(path).read().split(f"{me} 0\n", 1)[1].splitlines()):
        write(n + 1)
        print(n + 2)
        sys.exit()
    time.sleep(0.01)
sys.exit("the other does not write")
`

// TestGroupsShareVolumes: two servers of one group write one volume at one time and read each
// other's lines. A server of a group that may only read a volume reads it and cannot write.
func TestGroupsShareVolumes(t *testing.T) {
	alice, bob := login(t, "alice"), login(t, "bob") // of students, of staff
	alice.stop()
	bob.stop()
	claim(t, "e2e-team")
	claim(t, "e2e-data")
	storageProfile(t, alice, "e2e-shared", "", `
      { name: e2e-team, claim: e2e-team, writers: [students, staff] },
      { name: e2e-data, claim: e2e-data, subPath: public, mountPath: /home/jovyan/e2e-data, writers: [staff], readers: ["*"] },
      { name: e2e-nobody, claim: e2e-data, subPath: closed, writers: [e2e-nobody] }`)
	defer alice.stop()
	defer bob.stop()
	// A kubelet makes the folder of a volume that it mounts to be written, and not to be read.
	for _, p := range []*person{bob, alice} {
		p.choose("e2e-shared")
		p.follow()
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	mustPython(t, "alice", `open("/shared/e2e-team/log", "w").close()`)
	wrote := map[string]chan string{"alice": make(chan string, 1), "bob": make(chan string, 1)}
	for me, other := range map[string]string{"alice": "bob", "bob": "alice"} {
		go func() {
			lines, err := python(ctx, me, fmt.Sprintf(meeting, me, other))
			if err != nil {
				t.Error(err)
			}
			wrote[me] <- lines
		}()
	}
	want := "alice " + <-wrote["alice"] + " bob " + <-wrote["bob"]
	for _, reader := range []string{"alice", "bob"} {
		have := mustPython(t, reader, `
lines = open("/shared/e2e-team/log").read().splitlines()
count = lambda who: sum(line.startswith(who) for line in lines)
print("alice", count("alice"), "bob", count("bob"))`)
		if have != want {
			t.Errorf("%s reads %q, they wrote %q", reader, have, want)
		}
	}

	mustPython(t, "bob", `open("/home/jovyan/e2e-data/set", "w").write("from bob")`) // the negative control
	if have := mustPython(t, "alice", `print(open("/home/jovyan/e2e-data/set").read())`); have != "from bob" {
		t.Errorf("alice reads %q of the data set", have)
	}
	for _, program := range []string{`open("/home/jovyan/e2e-data/set", "a")`, `open("/home/jovyan/e2e-data/new", "w")`, `import os; os.remove("/home/jovyan/e2e-data/set")`} {
		if _, err := python(ctx, "alice", program); err == nil || !strings.Contains(err.Error(), "Read-only file system") {
			t.Errorf("alice, who may only read: %s: %v", program, err)
		}
	}
	if have := mustPython(t, "bob", `import os; print(os.path.exists("/shared/e2e-nobody"))`); have != "False" {
		t.Error("bob has a volume of another group")
	}
}

// TestStaticHomes: homes that are folders of one volume are made at the first start, are their
// users' alone, and last.
func TestStaticHomes(t *testing.T) {
	alice, bob := login(t, "alice"), login(t, "bob")
	alice.stop()
	bob.stop()
	claim(t, "e2e-homes")
	storageProfile(t, alice, "e2e-static", `storage_type: static, storage_claim: e2e-homes, storage_sub_path: "homes/{username}"`, "")
	defer alice.stop()
	defer bob.stop()
	for _, p := range []*person{alice, bob} {
		p.choose("e2e-static")
		p.follow() // Jupyter has written into its home then
		mustPython(t, p.name, `open("/home/jovyan/mine", "x").write("of `+p.name+`")`)
	}
	alice.stop()
	alice.choose("e2e-static")
	alice.follow()
	if have := mustPython(t, "alice", `import os; print(open("/home/jovyan/mine").read(), os.path.ismount("/home/jovyan"))`); have != "of alice True" {
		t.Errorf("after a stop alice's home has %q", have)
	}
	if _, err := cluster(t).CoreV1().PersistentVolumeClaims(servers).Get(t.Context(), "e2e-homes", metav1.GetOptions{}); err != nil {
		t.Errorf("after the stop: %v", err)
	}
}

// TestHomesThatCannotGrow: the cluster's StorageClass allows no larger volumes. The server starts
// all the same, its home stays as it is, and the progress says so.
func TestHomesThatCannotGrow(t *testing.T) {
	alice := login(t, "alice")
	alice.stop()
	alice.spawn() // her home is there, with a volume
	alice.stop()
	claims := cluster(t).CoreV1().PersistentVolumeClaims(servers)
	before, err := claims.Get(t.Context(), spawn.HomeName("alice"), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	storageProfile(t, alice, "e2e-large", "storage_capacity: 7Ti", "")
	defer alice.stop()
	alice.choose("e2e-large")
	if said := describe(alice.follow()); !strings.Contains(said, "could not be enlarged to 7 TiB") {
		t.Errorf("the progress does not say so:\n%s", said)
	}
	after, err := claims.Get(t.Context(), before.Name, metav1.GetOptions{})
	if err != nil || after.UID != before.UID || after.Spec.Resources.Requests.Storage().Cmp(*before.Spec.Resources.Requests.Storage()) != 0 {
		t.Errorf("the home is now %+v, %v", after.Spec.Resources, err)
	}
}
