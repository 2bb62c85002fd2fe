package main

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/web"
)

// startTimeout is the chart's.
const startTimeout = 5 * time.Minute

// told is the last line that the progress page shows the user of a pod at a time, in English.
func told(pod *corev1.Pod, now time.Time) (string, error) {
	pages, err := web.New()
	if err != nil {
		return "", fmt.Errorf("read the pages: %w", err)
	}
	step := spawn.StatusOf(pod, nil, now, startTimeout).Now()
	return pages.Text("en", string(step.Message), step.Data), nil
}
