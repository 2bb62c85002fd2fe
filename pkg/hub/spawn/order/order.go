package order

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// What a pod waits with; waiting.py has the same names.
const (
	// EnvKey is the variable with contract.OrderKey.
	EnvKey = "PERIJOVE_ORDER_KEY"
	// File is the program that waits, as the chart's ConfigMap names it.
	File = "waiting.py"
)

// Exit codes of a process that ends while it waits. Its last line says why.
const (
	ExitCommand = 64 // the command is not one that starts JupyterLab
	ExitUnfit   = 65 // the image cannot wait: it cannot be imported, or it reads too early what comes late
	ExitPort    = 66 // it cannot listen
	ExitHome    = 67 // the home did not come, or cannot be entered
)

// largest is how long an encoded order may be, in bytes: waiting.py reads no more.
const largest = 256 << 10

// Order says whose server a waiting process becomes.
type Order struct {
	// Home is the absolute path of the home folder.
	Home string `json:"home"`
	// Late is the source of the empty mount that lies on Home until the home is there; "" where it is there already.
	Late string `json:"late"`
	// Env is all variables that the server would have had in a pod of its own, beside the image's. HOME is Home.
	Env map[string]string `json:"env"`
}

// encode returns the body of the request. Its errors name a variable, never a value.
func (o Order) encode() ([]byte, error) {
	if !path.IsAbs(o.Home) || o.Env["HOME"] != o.Home {
		return nil, fmt.Errorf("the home %q is no absolute path, or not that of HOME", o.Home)
	}
	for name, value := range o.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return nil, fmt.Errorf("the variable %q cannot be in an environment", name)
		}
	}
	body, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("encode an order: %w", err)
	}
	if len(body) > largest {
		return nil, errors.New("an environment of more than 256 KiB is too large for an order")
	}
	return body, nil
}

// Known says whether a process can wait that is to become this command: one that starts JupyterLab. No command is the
// image's own, which the image's list has to name.
func Known(command []string) bool {
	if len(command) == 0 {
		return true
	}
	name := path.Base(command[0])
	return slices.Contains([]string{"jupyter-lab", "quick-lab"}, name) || name == "jupyter" && len(command) > 1 && command[1] == "lab"
}
