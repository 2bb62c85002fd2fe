package chart

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/perijove/perijove/test/chart"
)

// scores are the paper's scores in the order of wholeWeights, with their plugins.
var scores = []struct{ value, plugin string }{
	{"leastAllocated", "NodeResourcesFit"}, {"balancedAllocation", "NodeResourcesBalancedAllocation"}, {"topologySpread", "PodTopologySpread"},
}

// wholeWeights is what the chart's template does, said in Go: fractions to millionths, then as small as
// whole numbers in the same ratios can be.
func wholeWeights(fractions [3]float64) [3]int64 {
	var whole [3]int64
	divisor := new(big.Int)
	for i, f := range fractions {
		whole[i] = int64(math.Round(f * 1e6))
		divisor.GCD(nil, nil, divisor, big.NewInt(whole[i]))
	}
	for i := range whole {
		whole[i] /= divisor.Int64()
	}
	return whole
}

// rendered are the weights of the plugins that the scheduler scores with.
func rendered(t *testing.T, helm, values string) map[string]int64 {
	t.Helper()
	s, err := chart.SchedulerOf(helm, "perijove", "--set-json", "scheduling="+values)
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Profiles []struct {
			Plugins struct {
				Score struct {
					Disabled []struct{ Name string }
					Enabled  []struct {
						Name   string
						Weight int64
					}
				}
			}
		}
	}
	if err := yaml.Unmarshal([]byte(s.Config), &c); err != nil || len(c.Profiles) != 1 {
		t.Fatalf("%v in\n%s", err, s.Config)
	}
	score := c.Profiles[0].Plugins.Score
	if len(score.Disabled) != 1 || score.Disabled[0].Name != "*" {
		t.Errorf("default scores are part of the sum: %+v", score.Disabled)
	}
	all := map[string]int64{}
	for _, p := range score.Enabled {
		all[p.Name] = p.Weight
	}
	return all
}

// same compares the rendered weights with those of the reference.
func same(t *testing.T, what string, have map[string]int64, want [3]int64) {
	t.Helper()
	sum, n := int64(0), 1 // TaintToleration is in any case
	for i, s := range scores {
		if have[s.plugin] != want[i] {
			t.Errorf("%s: %s weighs %d, want %d", what, s.plugin, have[s.plugin], want[i])
		}
		if sum += want[i]; want[i] > 0 {
			n++
		}
	}
	if len(have) != n {
		t.Errorf("%s: the plugins that score are %v", what, have)
	}
	// One point more of TaintToleration outweighs all that the others can say.
	if have["TaintToleration"] != 100*sum+1 || have["TaintToleration"] > math.MaxInt32 {
		t.Errorf("%s: TaintToleration weighs %d beside %d", what, have["TaintToleration"], sum)
	}
}

func testWeights(t *testing.T, helm string) {
	for values, want := range map[string][3]int64{
		`{}`: {1, 1, 1}, // equal by default
		`{"leastAllocated":0.33,"balancedAllocation":0.33,"topologySpread":0.34}`:                              {33, 33, 34},
		`{"leastAllocated":0.33,"balancedAllocation":0.33,"topologySpread":0.33}`:                              {1, 1, 1},
		`{"leastAllocated":0.3333333333333333,"balancedAllocation":"0.333333","topologySpread":0.33333333334}`: {1, 1, 1},
		`{"leastAllocated":0.5,"balancedAllocation":0.25,"topologySpread":0.25}`:                               {2, 1, 1},
		`{"leastAllocated":"0.5","topologySpread":".5"}`:                                                       {1, 0, 1},
		`{"topologySpread":1}`:                               {0, 0, 1},
		`{"balancedAllocation":1.0,"leastAllocated":0}`:      {0, 1, 0},
		`{"leastAllocated":0.999999,"topologySpread":1e-06}`: {999999, 0, 1},
	} {
		same(t, values, rendered(t, helm, fmt.Sprintf(`{"strategy":"weights","weights":%s}`, values)), want)
	}
	testAnyWeights(t, helm)
}

// testAnyWeights: for any weights with the sum 1 the template does what the reference does, and the whole
// numbers have the ratios of the fractions.
func testAnyWeights(t *testing.T, helm string) {
	random := rand.New(rand.NewPCG(13, 2))
	for range 25 {
		digits := math.Pow10(1 + random.IntN(6))
		a := math.Floor(random.Float64()*digits) / digits
		b := math.Floor(random.Float64()*(1-a)*digits) / digits
		fractions := [3]float64{a, b, math.Round((1-a-b)*digits) / digits}
		text, err := json.Marshal(map[string]float64{"leastAllocated": fractions[0], "balancedAllocation": fractions[1], "topologySpread": fractions[2]})
		if err != nil {
			t.Fatal(err)
		}
		want := wholeWeights(fractions)
		same(t, string(text), rendered(t, helm, fmt.Sprintf(`{"strategy":"weights","weights":%s}`, text)), want)
		for i := range want {
			j := (i + 1) % len(want)
			if left, right := fractions[i]*float64(want[j]), fractions[j]*float64(want[i]); math.Abs(left-right) > 1e-9*float64(max(want[i], want[j])) {
				t.Errorf("%s: %d to %d is another ratio", text, want[i], want[j])
			}
		}
	}
}

// What cannot be meant is refused with key and value, all at once, before anything is made.
func testSchedulingFaults(t *testing.T, helm string) {
	for values, wants := range map[string][]string{
		`{"strategy":"random"}`: {"/scheduling/strategy", "'spread', 'pack', 'weights'"},
		`{"strategy":"weights","weights":{"leastAllocated":0.5,"topologySpread":0.3}}`:                            {"scheduling.weights: the sum must be 1 and is 0.8"},
		`{"strategy":"weights","weights":{"leastAllocated":0.5,"balancedAllocation":0.5,"topologySpread":0.011}}`: {"scheduling.weights: the sum must be 1 and is 1.011"},
		`{"strategy":"weights","weights":{"leastAllocated":0,"topologySpread":0}}`:                                {"scheduling.weights: the sum must be 1 and is 0"},
		`{"strategy":"weights","weights":{"leastAllocated":-0.5,"topologySpread":1.5}}`:                           {"/scheduling/weights/leastAllocated", "-0.5", "/scheduling/weights/topologySpread", "1.5"},
		`{"strategy":"weights","weights":{"leastAllocated":"NaN","topologySpread":"1e0"}}`:                        {"'NaN'", "'1e0'"},
		`{"strategy":"weights","weights":{"leastAllocated":"inf","topologySpread":"0x1"}}`:                        {"'inf'", "'0x1'"},
		`{"strategy":"weights","weights":{"leastAllocated":null}}`:                                                {"/scheduling/weights/leastAllocated"},
		`{"strategy":"weights","weights":{"leastRequested":1}}`:                                                   {"'leastRequested' not allowed"},
		`{"strategy":"weights","weights":{"leastAllocated":1,"topologySpread":1e-9}}`:                             {"scheduling.weights.topologySpread: 1e-09 is less than a millionth"},
		`{"strategy":"spread","weights":{"leastAllocated":1}}`:                                                    {`scheduling.weights: are those of the strategy weights, and scheduling.strategy is "spread"`},
		`{"weights":{"leastAllocated":1}}`:                                                                        {`scheduling.weights: are those of the strategy weights, and scheduling.strategy is ""`},
		`{"userPlaceholder":{"replicas":-1}}`:                                                                     {"/scheduling/userPlaceholder/replicas"},
		`{"userPlaceholder":{"resources":{"requests":{"cpu":2},"limits":{"cpu":1}}}}`:                             {"scheduling.userPlaceholder.resources.limits.cpu: is below the request"},
		`{"userPlaceholder":{"resources":{"requests":{"cpu":"many"}}}}`:                                           {"/scheduling/userPlaceholder/resources/requests/cpu"},
		`{"podPriority":{"enabled":true,"userPlaceholderPriority":0}}`:                                            {"scheduling.podPriority.userPlaceholderPriority: is 0 and must be below defaultPriority, which is 0"},
		`{"podPriority":{"enabled":true,"defaultPriority":2000000000}}`:                                           {"/scheduling/podPriority/defaultPriority"},
		`{"strategy":"spread","userScheduler":{"replicas":0}}`:                                                    {"/scheduling/userScheduler/replicas"},
		`{"strategy":"spread","userScheduler":{"resources":{"limits":{"memory":"1Mi"}}}}`:                         {"scheduling.userScheduler.resources.limits.memory: is below the request"},
	} {
		_, problem, err := render(helm, "-f", onenode, "--set-json", "scheduling="+values)
		for _, want := range wants {
			if err == nil || !strings.Contains(problem, want) {
				t.Errorf("%s: want %q, have %v %s", values, want, err, problem)
			}
		}
	}
	_, problem, _ := render(helm, "-f", onenode, "--set-json", `scheduling={"strategy":"pack","weights":{"leastAllocated":0.5,"topologySpread":1e-9},"userScheduler":{"resources":{"limits":{"memory":"1Mi"}}}}`)
	if strings.Count(problem, "\n  scheduling.") != 3 {
		t.Errorf("three faults, one message: %s", problem)
	}
	for _, good := range []string{`{"weights":{}}`, `{"strategy":"weights","weights":{"leastAllocated":0.99}}`, `{"strategy":"weights","weights":{"leastAllocated":1,"topologySpread":0.01}}`} {
		if _, problem, err := render(helm, "-f", onenode, "--set-json", "scheduling="+good); err != nil {
			t.Errorf("%s: %s", good, problem)
		}
	}
}

// The scheduler is of the cluster's version, however the cluster's provider writes it, and nothing of it
// is there unless a strategy is.
func testScheduler(t *testing.T, helm string) {
	for version, want := range map[string]string{"1.36.0": "v1.36.0", "v1.34.4-gke.1047000": "v1.34.4", "1.33.1+k3s1": "v1.33.1"} {
		out, problem, err := render(helm, "-f", onenode, "--set", "scheduling.strategy=spread", "--kube-version", version)
		if err != nil || !strings.Contains(out, "image: registry.k8s.io/kube-scheduler:"+want+"\n") {
			t.Errorf("%s: no scheduler %s, %s", version, want, problem)
		}
	}
	out, problem, err := render(helm, "-f", onenode, "--set", "scheduling.strategy=spread,scheduling.userScheduler.image.name=a.test/x,scheduling.userScheduler.image.tag=v2")
	if err != nil || !strings.Contains(out, "image: a.test/x:v2\n") {
		t.Errorf("an image of one's own: %s", problem)
	}
	out, _, err = render(helm, "-f", onenode)
	if err != nil || strings.Contains(out, "user-scheduler") || strings.Contains(out, "\n    scheduling:") {
		t.Errorf("there is a scheduler that nobody asked for, or %v", err)
	}
	names := []string{}
	for _, release := range []string{"perijove", "other"} {
		s, err := chart.SchedulerOf(helm, release, "--set", "scheduling.strategy=spread")
		if err != nil || !strings.Contains(s.Config, "schedulerName: "+s.Pods.Scheduler+"\n") {
			t.Errorf("%s: servers ask for %q, %v", release, s.Pods.Scheduler, err)
		}
		names = append(names, s.Pods.Scheduler)
	}
	if names[0] == names[1] {
		t.Errorf("two installations have one scheduler: %v", names)
	}
}
