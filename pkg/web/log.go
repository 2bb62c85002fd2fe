package web

// Log shows the end of what a server wrote.
type Log struct {
	Viewer  Viewer
	Owner   string
	Server  string
	Display string // what the user calls it; "" for its name
	State   ServerState
	Now     string // the run that goes on, or the last one; untrusted
	Before  string // the run before it, "" for none; untrusted
	Unknown bool   // the log cannot be read at this moment
	Steps   []Line // what the cluster said
	Again   string // this page
}

func (Log) template() string { return "log" }
func (l Log) viewer() Viewer { return l.Viewer }
