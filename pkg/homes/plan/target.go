package plan

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/contract"
)

// Driver is the name of the CSI driver: of the CSIDriver object and in pods' volumes.
const Driver = contract.DriverHomes

// Target is where the kubelet wants a pod's volume: it names a pod and one of its volumes.
type Target struct {
	Pod    types.UID
	Volume string // its name in the pod
}

// What may be between the slashes of a target: a UID and the name of a volume, never ".." or a slash.
var (
	uid  = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	name = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// Path is the target's folder below the kubelet's root folder.
func (t Target) Path(root string) string {
	return path.Join(root, "pods", string(t.Pod), "volumes", "kubernetes.io~csi", t.Volume, "mount")
}

// ParseTarget reads the folder that a kubelet with this root folder asks for. Any other folder is refused: the driver
// mounts and unmounts as root, and nothing of the machine but pods' volumes is its business.
func ParseTarget(root, folder string) (Target, error) {
	parts := strings.Split(strings.TrimPrefix(folder, strings.TrimSuffix(root, "/")+"/pods/"), "/")
	if len(parts) == 5 && uid.MatchString(parts[0]) && name.MatchString(parts[3]) {
		if t := (Target{Pod: types.UID(parts[0]), Volume: parts[3]}); t.Path(root) == folder {
			return t, nil
		}
	}
	return Target{}, fmt.Errorf("%q is no folder for a pod's volume below %s", folder, root)
}
