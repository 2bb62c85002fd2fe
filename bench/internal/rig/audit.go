package rig

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

const auditLog = "audit.log"

// StartAuditedKube is StartKube with an API server that writes down each request: of which
// client, and when.
func (r *Rig) StartAuditedKube() (*Kube, error) {
	const policy = `{"apiVersion":"audit.k8s.io/v1","kind":"Policy","omitStages":["RequestReceived","ResponseStarted"],"rules":[{"level":"Metadata"}]}`
	file := r.Path("audit.json")
	if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
		return nil, fmt.Errorf("policy of the audit log: %w", err)
	}
	return r.startKube(nil, "--audit-policy-file="+file, "--audit-log-path="+r.Path(auditLog), "--audit-log-mode=blocking")
}

// Requests counts the requests that a client made to the API server, of all whose user agent
// begins with agent.
type Requests struct {
	All int
	// Peak is the most in one second.
	Peak  int
	Verbs map[string]int // "create pods"
}

// Requests returns what an audited API server was asked from begin to end. Watches that end later
// are not in it.
func (r *Rig) Requests(agent string, begin, end time.Time) (Requests, error) {
	file, err := os.Open(r.Path(auditLog))
	if err != nil {
		return Requests{}, fmt.Errorf("read the audit log: %w", err)
	}
	defer func() { _ = file.Close() }()
	out, seconds := Requests{Verbs: map[string]int{}}, map[int64]int{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			UserAgent string    `json:"userAgent"`
			Verb      string    `json:"verb"`
			Received  time.Time `json:"requestReceivedTimestamp"`
			Object    struct {
				Resource    string `json:"resource"`
				Subresource string `json:"subresource"`
			} `json:"objectRef"`
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return Requests{}, fmt.Errorf("read the audit log: %w", err)
		}
		if !strings.HasPrefix(e.UserAgent, agent) || e.Received.Before(begin) || e.Received.After(end) {
			continue
		}
		out.All++
		seconds[e.Received.Unix()]++
		out.Verbs[strings.TrimSuffix(e.Verb+" "+e.Object.Resource+"/"+e.Object.Subresource, "/")]++
	}
	for _, n := range seconds {
		out.Peak = max(out.Peak, n)
	}
	return out, lines.Err()
}
