package shares

import (
	"fmt"
	"io"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Metrics reads what a kubelet answers at /metrics/resource
// (https://kubernetes.io/docs/reference/instrumentation/node-metrics/). A container of which the time
// of its start is not told is refused: it could not be told whether its counter began anew.
func Metrics(text io.Reader) (Sample, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return nil, fmt.Errorf("metrics of a kubelet: %w", err)
	}
	s := Sample{}
	each := func(family string, take func(c *Counters, value float64, at time.Time)) {
		for _, m := range families[family].GetMetric() {
			name := named(m)
			c := s[name]
			take(&c, value(m), time.UnixMilli(m.GetTimestampMs()))
			s[name] = c
		}
	}
	each("container_cpu_usage_seconds_total", func(c *Counters, seconds float64, at time.Time) {
		c.CPU, c.At = time.Duration(seconds*float64(time.Second)), at
	})
	each("container_memory_working_set_bytes", func(c *Counters, bytes float64, _ time.Time) { c.Memory = bytes })
	each("container_start_time_seconds", func(c *Counters, seconds float64, _ time.Time) {
		c.Started = time.UnixMilli(int64(seconds * 1000)) //nolint:mnd // milliseconds of a second
	})
	for name, c := range s {
		if c.Started.IsZero() || c.At.IsZero() {
			return nil, fmt.Errorf("metrics of a kubelet: container %s of %s/%s lacks its start or its processor time", name.Name, name.Namespace, name.Pod)
		}
	}
	return s, nil
}

func named(m *dto.Metric) (c Container) {
	for _, l := range m.GetLabel() {
		switch l.GetName() {
		case "namespace":
			c.Namespace = l.GetValue()
		case "pod":
			c.Pod = l.GetValue()
		case "container":
			c.Name = l.GetValue()
		}
	}
	return c
}

// value is a metric's, whatever the family says that it is.
func value(m *dto.Metric) float64 {
	switch {
	case m.Counter != nil:
		return m.GetCounter().GetValue()
	case m.Gauge != nil:
		return m.GetGauge().GetValue()
	}
	return m.GetUntyped().GetValue()
}
