package contract

// The spawner asks each authz when users last did something at servers, over mutual TLS.

// PathUse is where authz answers, with a UseReport in JSON.
const PathUse = "/v1/use"

// UseReport is what one replica of authz knows. Times are seconds before the answer: the clocks of
// two machines differ.
type UseReport struct {
	// Since is for how long it has been noting; it knows nothing of the time before.
	Since   float64     `json:"since"`
	Servers []ServerUse `json:"servers"`
}

// ServerUse is when a user last did something at one server.
type ServerUse struct {
	User   string  `json:"user"`
	Server string  `json:"server"` // "" for the default one
	Ago    float64 `json:"ago"`
}
