package shares

import (
	"strings"
	"testing"
	"time"
)

// told is as a kubelet v1.37 answers.
const told = `# HELP container_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the container in core-seconds
# TYPE container_cpu_usage_seconds_total counter
container_cpu_usage_seconds_total{container="notebook",namespace="servers",pod="server-a"} 4.5 1764158400250
# HELP container_memory_working_set_bytes [STABLE] Current working set of the container in bytes
# TYPE container_memory_working_set_bytes gauge
container_memory_working_set_bytes{container="notebook",namespace="servers",pod="server-a"} 1.048576e+06 1764158400250
# HELP container_start_time_seconds [STABLE] Start time of the container since unix epoch in seconds
# TYPE container_start_time_seconds gauge
container_start_time_seconds{container="notebook",namespace="servers",pod="server-a"} 1.7641583905e+09
# HELP node_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the node in core-seconds
# TYPE node_cpu_usage_seconds_total counter
node_cpu_usage_seconds_total 900 1764158400000
`

func TestMetricsOfAKubelet(t *testing.T) {
	s, err := Metrics(strings.NewReader(told))
	if err != nil {
		t.Fatal(err)
	}
	c, ok := s[Container{"servers", "server-a", "notebook"}]
	if len(s) != 1 || !ok {
		t.Fatalf("containers %v", s)
	}
	if c.CPU != 4500*time.Millisecond || c.Memory != 1<<20 || c.At.UnixMilli() != 1764158400250 || c.Started.UnixMilli() != 1764158390500 {
		t.Errorf("%+v", c)
	}
}

func TestMetricsThatCannotBeUsed(t *testing.T) {
	for what, text := range map[string]string{
		"no metrics":     "<html>forbidden</html>",
		"no start":       strings.ReplaceAll(told, "container_start_time_seconds{", "other{"),
		"no processor":   strings.ReplaceAll(told, "container_cpu_usage_seconds_total{", "other{"),
		"broken numbers": strings.ReplaceAll(told, "4.5", "4,5"),
	} {
		if s, err := Metrics(strings.NewReader(text)); err == nil {
			t.Errorf("%s: %v", what, s)
		}
	}
	if s, err := Metrics(strings.NewReader("")); err != nil || len(s) != 0 {
		t.Errorf("a node without containers: %v, %v", s, err)
	}
}
