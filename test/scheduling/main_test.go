package scheduling

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/perijove/perijove/test/apiserver"
	"github.com/perijove/perijove/test/chart"
	"github.com/perijove/perijove/test/netns"
	"github.com/perijove/perijove/test/repo"
)

var (
	// api is one for all tests of this package: each has nodes of its own.
	api *apiserver.API
	// schedulers run all the time, by the name of their release.
	schedulers = map[string]chart.Scheduler{}
	helm       string
)

// releases are the installations that tests use, with their values.
var releases = map[string]string{
	"spread":    "scheduling.strategy=spread",
	"pack":      "scheduling.strategy=pack",
	"weights":   "scheduling.strategy=weights",
	"allocated": "scheduling.strategy=weights,scheduling.weights.leastAllocated=1",
	"balanced":  "scheduling.strategy=weights,scheduling.weights.balancedAllocation=1.0",
	// A core is what a server of package lab has.
	"placeholders": "scheduling.strategy=spread,scheduling.podPriority.enabled=true,scheduling.userPlaceholder.replicas=3," +
		"singleuser.cpu.guarantee=1,singleuser.memory.guarantee=512M,singleuser.quota.pods=1,singleuser.quota.limits\\.cpu=64",
	"topology": "scheduling.strategy=weights,scheduling.weights.topologySpread=1",
}

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "perijove-scheduling-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := 1
	// Inside the network namespace nothing can be downloaded.
	if _, err := chart.Helm(folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = netns.Main(func() int { return within(m) })
	}
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

func within(m *testing.M) int {
	root, err := repo.Find()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	output := filepath.Join(root, "test", "output", "scheduling")
	if api, err = apiserver.Start(output); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer api.Stop()
	if helm, err = chart.Helm(output); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for release, set := range releases {
		if err := install(release, set); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// install makes what a release of the chart has of scheduling, and runs its scheduler.
func install(release, set string) error {
	s, err := chart.SchedulerOf(helm, release, "--set", set)
	if err != nil {
		return err
	}
	schedulers[release] = s
	namespaces := ""
	for _, name := range []string{release, s.Namespace} {
		namespaces += "{apiVersion: v1, kind: Namespace, metadata: {name: " + name + "}}\n---\n"
	}
	if err := api.Apply(namespaces + s.Rights); err != nil {
		return err
	}
	return api.Scheduler(release, s)
}
