package openapi

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/perijove/perijove/pkg/contract"
)

// document is the part of OpenAPI 3.1 (spec.openapis.org/oas/v3.1.0) that the API needs.
type document struct {
	OpenAPI    string                          `json:"openapi"`
	Info       info                            `json:"info"`
	Paths      map[string]map[string]operation `json:"paths"` // by path, then by method
	Components components                      `json:"components"`
}

type info struct {
	Title       string `json:"title"`
	Version     string `json:"version"`
	Description string `json:"description"`
}

type operation struct {
	ID          string                `json:"operationId"`
	Summary     string                `json:"summary"`
	Parameters  []parameter           `json:"parameters,omitempty"`
	RequestBody *body                 `json:"requestBody,omitempty"`
	Responses   map[string]response   `json:"responses"`
	Security    []map[string][]string `json:"security"`
}

type parameter struct {
	Name        string `json:"name"`
	In          string `json:"in"`
	Required    bool   `json:"required,omitempty"`
	Description string `json:"description,omitempty"`
	Schema      schema `json:"schema"`
}

type body struct {
	Required bool             `json:"required,omitempty"`
	Content  map[string]media `json:"content"`
}

type response struct {
	Description string            `json:"description"`
	Headers     map[string]header `json:"headers,omitempty"`
	Content     map[string]media  `json:"content,omitempty"`
	leads       []string          // operations that Links are made of
	// Links are what can be done with what was answered.
	Links map[string]link `json:"links,omitempty"`
}

// link leads from an answer to another operation, with parameters that are runtime expressions.
type link struct {
	Operation  string            `json:"operationId"`
	Parameters map[string]string `json:"parameters"`
}

type header struct {
	Description string `json:"description"`
	Schema      schema `json:"schema"`
}

type media struct {
	Schema schema `json:"schema"`
}

// schema is a JSON Schema (draft 2020-12).
type schema map[string]any

type components struct {
	Schemas         map[string]schema         `json:"schemas"`
	SecuritySchemes map[string]securityScheme `json:"securitySchemes"`
}

type securityScheme struct {
	Type        string `json:"type"`
	In          string `json:"in"`
	Name        string `json:"name"`
	Description string `json:"description"`
}

const (
	byToken   = "token"
	bySession = "session"
)

var segment = regexp.MustCompile(`\{([a-z]+)\}`)

// Document returns the document as JSON. version is the JupyterHub version whose paths these are. An
// endpoint whose operation is not described is an error.
func Document(endpoints []contract.Endpoint, version string) ([]byte, error) {
	d := document{
		OpenAPI: "3.1.0",
		Info: info{
			Title: "Perijove", Version: version,
			Description: "JupyterHub's REST API, as far as this platform has it. The version is the one of JupyterHub whose paths these are.",
		},
		Paths: map[string]map[string]operation{},
		Components: components{Schemas: schemas(), SecuritySchemes: map[string]securityScheme{
			byToken:   {"apiKey", "header", "Authorization", "`token hub_…`, an API token with the scope that is named"},
			bySession: {"apiKey", "cookie", contract.CookieSession, "a login; what changes something needs the header " + contract.XSRFHeader + " too"},
		}},
	}
	for _, e := range endpoints {
		about, ok := operations()[e.Operation]
		if !ok {
			return nil, fmt.Errorf("operation %s of %s is not described", e.Operation, e.Pattern())
		}
		path := strings.TrimSuffix(e.Path, "{$}")
		if d.Paths[path] == nil {
			d.Paths[path] = map[string]operation{}
		}
		d.Paths[path][strings.ToLower(e.Method)] = about.at(e)
	}
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the OpenAPI document: %w", err)
	}
	return append(text, '\n'), nil
}

// at is the description of one endpoint.
func (a about) at(e contract.Endpoint) operation {
	o := operation{ID: id(e), Summary: e.Summary, Responses: map[string]response{}, Security: []map[string][]string{{bySession: {}}}}
	if e.Open() {
		o.Security = []map[string][]string{}
	} else if e.Scope != "" {
		o.Security = append(o.Security, map[string][]string{byToken: {e.Scope}})
	}
	for _, name := range found(e) {
		o.Parameters = append(o.Parameters, parameter{Name: name, In: "path", Required: true, Schema: schema{"type": "string"}})
	}
	o.Parameters = append(o.Parameters, a.query...)
	if a.takes != nil {
		o.RequestBody = &body{Required: a.needs, Content: map[string]media{"application/json": {a.takes}}}
	}
	for status, r := range a.answers {
		o.Responses[status] = r.linked(e)
	}
	refusals := map[string]string{}
	if !e.Open() {
		refusals = map[string]string{"401": "nobody is logged in", "403": "the caller, or the token, may not do this"}
	}
	if len(found(e)) > 0 {
		refusals["400"] = "the path cannot be"
	}
	for status, text := range refusals {
		if _, ok := o.Responses[status]; !ok {
			o.Responses[status] = failure(text)
		}
	}
	return o
}

// found returns the names of the parameters in an endpoint's path.
func found(e contract.Endpoint) (names []string) {
	for _, match := range segment.FindAllStringSubmatch(e.Path, -1) {
		names = append(names, match[1])
	}
	return names
}

// linked returns the answer of an endpoint with the links that lead on from it: to the operations on the
// same user and server, and to those on a token that was made.
func (r response) linked(e contract.Endpoint) response {
	if len(r.leads) == 0 {
		return r
	}
	suffix, parameters := "", map[string]string{"user": "$request.path.user"}
	if strings.Contains(e.Path, "{server}") {
		suffix, parameters["server"] = "-named", "$request.path.server"
	}
	if e.Operation == contract.OpMakeToken {
		parameters["id"] = "$response.body#/id"
	}
	r.Links = map[string]link{}
	for _, operation := range r.leads {
		r.Links[operation] = link{operation + suffix, parameters}
	}
	return r
}

// id is the operation's name; those of the other paths of an operation say which they are.
func id(e contract.Endpoint) string {
	switch {
	case strings.HasSuffix(e.Path, "{$}"):
		return e.Operation + "-slash"
	case strings.Contains(e.Path, "{server}"):
		return e.Operation + "-named"
	}
	return e.Operation
}
