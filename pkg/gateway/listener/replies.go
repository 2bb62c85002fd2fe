package listener

import (
	"embed"
	"fmt"
	"regexp"
	"slices"
	"strings"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
	"github.com/perijove/perijove/pkg/web/origin"
)

// pages are made from the templates of pkg/web (TestEdgePages), so that they look like the others.
//
//go:embed pages/*.html
var pages embed.FS

// localReplies are the answers that Envoy gives by itself.
//
// No scope or no route (response flag NR) below /user/ means that no such server
// runs. Envoy redirects a browser's page to /hub/user/…, where the user can start the
// server. Any other request gets 424 in JSON as from JupyterHub, which JupyterLab reads as
// "server stopped" (a redirect would break it). Envoy redirects requests for our hosts only.
//
// With a host for each user the hub's pages are on the hub's host only, and Envoy redirects
// requests for them on other hosts there.
func localReplies(site origin.Site) *hcmv3.LocalReplyConfig {
	ours := headerMatches(":authority", anyOf(site))
	page := headerMatches("accept", `.*text/html.*`)
	noRoute := flag("NR")
	belowUser := headerMatches(":path", "^"+contract.PathUser+".*")
	mappers := []*hcmv3.ResponseMapper{
		{Filter: all(flag("UAEX"), status(accesslogv3.ComparisonFilter_LE, 499))}, // authz wrote the body
		{
			Filter:             all(refusedByForm(), headerIs(notAMethod())),
			StatusCode:         wrapperspb.UInt32(405),
			BodyFormatOverride: jsonBody("This method is not allowed here."),
			HeadersToAdd:       []*corev3.HeaderValueOption{envoyapi.Overwrite("allow", strings.Join(methods(), ", "))},
		},
		{Filter: refusedByForm(), StatusCode: wrapperspb.UInt32(400), BodyFormatOverride: malformed()},
		{
			// A load balancer's check, with any Host: Envoy is here. It says nothing else, and no
			// route and so no wildcard host is needed.
			Filter:     all(noRoute, headerMatches(":path", "^"+contract.PathHealth+`(\?.*)?$`)),
			StatusCode: wrapperspb.UInt32(200),
			Body:       inline(""),
		},
		{
			Filter:             all(noRoute, headerIs(&routev3.HeaderMatcher{Name: ":authority", HeaderMatchSpecifier: envoyapi.Exact(noHost)})),
			StatusCode:         wrapperspb.UInt32(400),
			BodyFormatOverride: malformed(),
		},
		{
			Filter:       all(noRoute, belowUser, ours, page, headerMatches(":method", "GET|HEAD")),
			StatusCode:   wrapperspb.UInt32(302),
			Body:         inline(""),
			HeadersToAdd: location(site.HubBaseURL() + "/hub%REQ(:PATH)%"),
		},
		{
			Filter:             all(noRoute, belowUser, ours),
			StatusCode:         wrapperspb.UInt32(424),
			BodyFormatOverride: jsonBody("The server is not running. Start it from /hub/home."),
		},
		{
			Filter:       all(noRoute, ours, headerMatches(":path", `^/(hub)?(\?.*)?$`)),
			StatusCode:   wrapperspb.UInt32(302),
			Body:         inline(""),
			HeadersToAdd: location(site.HubBaseURL() + contract.PathHub),
		},
		{Filter: all(noRoute, page, chinese()), BodyFormatOverride: htmlBody("404.zh-Hans.html"), HeadersToAdd: byLanguage()},
		{Filter: all(noRoute, page), BodyFormatOverride: htmlBody("404.en.html"), HeadersToAdd: byLanguage()},
		{Filter: noRoute, BodyFormatOverride: jsonBody("Nothing is here.")},
		{
			Filter:             all(status(accesslogv3.ComparisonFilter_EQ, 403), headerIs(overHTTP10())),
			StatusCode:         wrapperspb.UInt32(400),
			BodyFormatOverride: malformed(),
		},
		{
			Filter:             status(accesslogv3.ComparisonFilter_EQ, 403), // RBAC refuses a pass
			BodyFormatOverride: jsonBody("This is somebody else's server and you may not enter it."),
		},
		{Filter: all(unavailable(), page, chinese()), BodyFormatOverride: htmlBody("503.zh-Hans.html"), HeadersToAdd: append(byLanguage(), retryAfter()...)},
		{Filter: all(unavailable(), page), BodyFormatOverride: htmlBody("503.en.html"), HeadersToAdd: append(byLanguage(), retryAfter()...)},
		{
			Filter:             unavailable(),
			BodyFormatOverride: jsonBody("The server does not answer right now. Try again in a moment."),
			HeadersToAdd:       retryAfter(),
		},
		{Filter: status(accesslogv3.ComparisonFilter_EQ, 400), BodyFormatOverride: malformed()},
		{Filter: status(accesslogv3.ComparisonFilter_GE, 400), BodyFormatOverride: jsonBody("This request cannot be answered.")},
	}
	if site.PerUser() {
		mappers = slices.Insert(mappers, 0, strayed(site, noRoute, page))
	}
	for _, m := range mappers {
		if m.BodyFormatOverride != nil || m.Body != nil {
			m.HeadersToAdd = append(m.HeadersToAdd, harmless()...)
		}
	}
	return &hcmv3.LocalReplyConfig{Mappers: mappers}
}

// chinese matches requests of browsers that prefer Chinese to English. Envoy's filters cannot weigh
// (RFC 9110 §12.5.4), so of both languages the one that is named first counts: browsers name them in
// the user's order.
func chinese() *accesslogv3.AccessLogFilter {
	const other = `[^ez*,\s][^,]*|e([^n,][^,]*)?|z([^h,][^,]*)?`
	return headerMatches("accept-language", `(?i)(\s*(`+other+`)?,)*\s*zh([-_;,\s].*)?`)
}

// byLanguage tells caches that another browser may get another page, and to keep none.
func byLanguage() []*corev3.HeaderValueOption {
	return []*corev3.HeaderValueOption{envoyapi.Overwrite("vary", "Accept-Language"), envoyapi.Overwrite("cache-control", "no-store")}
}

// harmless keeps a browser from reading more into Envoy's answers than they are: no guessed
// type, no script, no content of others. Servers may frame them: a part of a page of theirs
// may be down.
func harmless() []*corev3.HeaderValueOption {
	return []*corev3.HeaderValueOption{
		envoyapi.Overwrite("x-content-type-options", "nosniff"),
		envoyapi.Overwrite("content-security-policy",
			"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"),
	}
}

// refusedByForm is a refusal of formRules or ownFormRules: authz's own 401 has another flag.
func refusedByForm() *accesslogv3.AccessLogFilter {
	return status(accesslogv3.ComparisonFilter_EQ, 401)
}

func malformed() *corev3.SubstitutionFormatString {
	return jsonBody("The platform does not accept requests of this form.")
}

// strayed redirects /hub/… on a user's host to the hub's host: links in JupyterLab's menu
// and in our error pages lead there.
func strayed(site origin.Site, noRoute, page *accesslogv3.AccessLogFilter) *hcmv3.ResponseMapper {
	return &hcmv3.ResponseMapper{
		Filter: all(noRoute, page, headerMatches(":authority", "(?i)^("+anyUser(site)+")$"),
			headerMatches(":path", "^"+contract.PathHub+".*"), headerMatches(":method", "GET|HEAD")),
		StatusCode:   wrapperspb.UInt32(302),
		Body:         inline(""),
		HeadersToAdd: location(site.HubBaseURL() + "%REQ(:PATH)%"),
	}
}

// unavailable matches an upstream, or authz, that does not answer. Refusals by authz have
// the flag UAEX too, but are never 5xx: they keep the body that authz wrote.
func unavailable() *accesslogv3.AccessLogFilter {
	return all(flag("UF", "UC", "UH", "UT", "UAEX"), status(accesslogv3.ComparisonFilter_GE, 500))
}

func status(op accesslogv3.ComparisonFilter_Op, code uint32) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_StatusCodeFilter{
		StatusCodeFilter: &accesslogv3.StatusCodeFilter{Comparison: &accesslogv3.ComparisonFilter{
			Op: op,
			// Envoy requires a runtime key too; no layer sets it.
			Value: &corev3.RuntimeUInt32{DefaultValue: code, RuntimeKey: "perijove.fixed"},
		}},
	}}
}

func retryAfter() []*corev3.HeaderValueOption {
	return []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "retry-after", Value: "2"}}}
}

func anyOf(site origin.Site) string {
	quoted := make([]string, len(site.Hosts))
	for i, h := range site.Hosts {
		quoted[i] = regexp.QuoteMeta(h)
	}
	if site.PerUser() {
		quoted = append(quoted, anyUser(site))
	}
	return "(?i)^(" + strings.Join(quoted, "|") + ")$"
}

// anyUser matches the hosts of users' servers.
func anyUser(site origin.Site) string {
	var patterns []string
	for _, h := range site.AnyUser() {
		patterns = append(patterns, "[a-z0-9-]+"+regexp.QuoteMeta(strings.TrimPrefix(h, "*")))
	}
	return strings.Join(patterns, "|")
}

func flag(flags ...string) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{
		ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{Flags: flags},
	}}
}

func headerMatches(name, regex string) *accesslogv3.AccessLogFilter {
	return headerIs(&routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: envoyapi.Regex(regex)})
}

func headerIs(m *routev3.HeaderMatcher) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_HeaderFilter{
		HeaderFilter: &accesslogv3.HeaderFilter{Header: m},
	}}
}

func all(filters ...*accesslogv3.AccessLogFilter) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_AndFilter{
		AndFilter: &accesslogv3.AndFilter{Filters: filters},
	}}
}

func anyFilter(filters ...*accesslogv3.AccessLogFilter) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_OrFilter{
		OrFilter: &accesslogv3.OrFilter{Filters: filters},
	}}
}

func withoutHeader(name string) *accesslogv3.AccessLogFilter {
	return headerIs(envoyapi.Present(name, false))
}

func location(value string) []*corev3.HeaderValueOption {
	return []*corev3.HeaderValueOption{envoyapi.Overwrite("location", value)}
}

func inline(text string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: text}}
}

func jsonBody(message string) *corev3.SubstitutionFormatString {
	return &corev3.SubstitutionFormatString{Format: &corev3.SubstitutionFormatString_JsonFormat{
		JsonFormat: &structpb.Struct{Fields: map[string]*structpb.Value{
			"status":     structpb.NewStringValue("%RESPONSE_CODE%"),
			"message":    structpb.NewStringValue(message),
			"request_id": structpb.NewStringValue("%REQ(X-REQUEST-ID)%"),
		}},
	}}
}

func htmlBody(file string) *corev3.SubstitutionFormatString {
	body, err := pages.ReadFile("pages/" + file)
	if err != nil {
		panic(fmt.Sprintf("embedded page %s: %v", file, err)) // a build without its own files
	}
	return &corev3.SubstitutionFormatString{
		ContentType: "text/html; charset=utf-8",
		Format: &corev3.SubstitutionFormatString_TextFormatSource{
			TextFormatSource: inline(string(body)),
		},
	}
}
