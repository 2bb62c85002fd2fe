package check

import (
	"encoding/json"
	"net/http"
	"sort"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/web"
)

// answer turns a verdict into Envoy's message.
func answer(req Request, v Verdict, pages *web.Renderer) *authv3.CheckResponse {
	if v.Allow {
		return accept(v)
	}
	var headers []*corev3.HeaderValueOption
	add := func(name, value string) { headers = append(headers, overwrite(name, value)) }
	body := ""
	switch {
	case v.Location != "":
		add("location", v.Location)
		add("cache-control", "no-store")
	case v.Page:
		html, err := pages.HTML(req.AcceptLanguage, page(req, v))
		if err != nil {
			return deny(v.Status, nil, "The page could not be shown. Please tell your administrator.")
		}
		body = string(html)
		all := web.Headers()
		names := make([]string, 0, len(all))
		for name := range all {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			add(name, all.Get(name))
		}
	default:
		body = message(v)
		add("content-type", "application/json")
		add("cache-control", "no-store")
		add("x-content-type-options", "nosniff")
	}
	if v.Methods != "" {
		add("allow", v.Methods)
	}
	if v.Status == http.StatusServiceUnavailable {
		add("retry-after", "10")
	}
	for _, c := range v.SetCookies {
		headers = append(headers, appended("set-cookie", c))
	}
	return deny(v.Status, headers, body)
}

func accept(v Verdict) *authv3.CheckResponse {
	ok := &authv3.OkHttpResponse{HeadersToRemove: v.Remove, QueryParametersToRemove: v.RemoveQuery}
	for _, h := range v.Set {
		ok.Headers = append(ok.Headers, overwrite(h.Name, h.Value))
	}
	for _, c := range v.SetCookies {
		ok.ResponseHeadersToAdd = append(ok.ResponseHeadersToAdd, appended("set-cookie", c))
	}
	resp := &authv3.CheckResponse{
		Status:       &status.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok},
	}
	if v.Input != "" {
		resp.DynamicMetadata = &structpb.Struct{Fields: map[string]*structpb.Value{
			contract.MetadataSession: structpb.NewStringValue(v.Input),
		}}
	}
	return resp
}

// deny is a refusal or redirect. The metadata tells Envoy's cookie filter that the answer
// is ours and not a server's.
func deny(code int, headers []*corev3.HeaderValueOption, body string) *authv3.CheckResponse {
	return &authv3.CheckResponse{
		Status: &status.Status{Code: int32(codes.PermissionDenied)},
		DynamicMetadata: &structpb.Struct{Fields: map[string]*structpb.Value{
			contract.MetadataOurs: structpb.NewBoolValue(true),
		}},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode(code)}, Headers: headers, Body: body, //nolint:gosec // a constant HTTP status
		}},
	}
}

func overwrite(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

// appended is for Set-Cookie: every value is a header of its own, and those of the
// upstream stay.
func appended(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: value},
		AppendAction: corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD,
	}
}

// page is the refusal for people.
func page(req Request, v Verdict) web.Message {
	m := web.Message{Status: v.Status, RequestID: req.RequestID, User: v.User.Name, ActionURL: contract.PathHome, Action: "error.back"}
	switch v.Reason {
	case ReasonForbidden:
		m.Title, m.Text = "error.forbidden", "error.forbidden_text"
	case ReasonNoSession:
		m.Title, m.Text = "error.unauthorized", "error.unauthorized_text"
		m.ActionURL, m.Action = contract.PathLogin, "error.login"
	case ReasonCrossOrigin:
		m.Title, m.Text = "error.xsrf", "error.xsrf_text"
	case ReasonStale:
		m.Title, m.Text = "error.unavailable", "error.unavailable_text"
	case ReasonBadToken, ReasonScope:
		m.Title, m.Text = "error.forbidden", "error.token_text"
	default:
		m.Title, m.Text = "error.bad_request", "error.bad_request_text"
	}
	return m
}

func noEndpoint(methods string) string {
	if methods == "" {
		return "The API has no such path; " + contract.PathAPI + "/openapi.json has all of them."
	}
	return "This path does not take the method, but " + methods + "."
}

// message is the refusal for programs, in JupyterHub's form.
func message(v Verdict) string {
	text := map[Reason]string{
		ReasonNoSession:   "You are not logged in, or your session has ended. Log in at " + contract.PathLogin + ".",
		ReasonForbidden:   "This is somebody else's server and you may not enter it.",
		ReasonCrossOrigin: "The request came from another site. Requests that change something must come from this one.",
		ReasonDuplicate:   "There are several cookies of one name. Delete the cookies of this site and log in again.",
		ReasonMalformed:   "The request could not be understood.",
		ReasonBadToken:    "The API token is unknown, expired or revoked.",
		ReasonScope:       "The scopes of this API token, or its owner's rights, do not cover this request.",
		ReasonNoEndpoint:  noEndpoint(v.Methods),
		ReasonStale:       "It is not known just now which sessions were ended. Try again in a minute.",
	}[v.Reason]
	if text == "" {
		text = http.StatusText(v.Status)
	}
	b, err := json.Marshal(struct {
		Status  int    `json:"status"`
		Message string `json:"message"`
	}{v.Status, text})
	if err != nil {
		return `{"status":500,"message":"internal error"}`
	}
	return string(b)
}
