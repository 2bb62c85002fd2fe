package scopes

import (
	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
)

// ours is how requests for our own services are treated: they may read and set our
// cookies. Where authz is asked it takes the cookies away. Envoy compresses none of their
// answers: a compressor takes memory for as long as its client reads, and anybody may ask (D10).
func ours(check *authzv3.ExtAuthzPerRoute) map[string]*anypb.Any {
	out := map[string]*anypb.Any{envoyapi.ExtAuthzFilter: envoyapi.Pack(check)}
	for _, name := range []string{envoyapi.ConfineFilter, envoyapi.BrotliFilter, envoyapi.ZstdFilter, envoyapi.GzipFilter} {
		out[name] = envoyapi.Pack(&routev3.FilterConfig{Disabled: true})
	}
	return out
}

func checkSettings(ext map[string]string) *authzv3.ExtAuthzPerRoute {
	return &authzv3.ExtAuthzPerRoute{Override: &authzv3.ExtAuthzPerRoute_CheckSettings{
		CheckSettings: &authzv3.CheckSettings{ContextExtensions: ext},
	}}
}

// admit lets in a pass for owner's servers, and requests in which authz has named the user.
// It refuses a pass for another person's servers and a request that authz has not judged.
func admit(owner string) *rbacv3.RBACPerRoute {
	header := func(m *routev3.HeaderMatcher) *rbacconfigv3.Principal {
		return &rbacconfigv3.Principal{Identifier: &rbacconfigv3.Principal_Header{Header: m}}
	}
	return &rbacv3.RBACPerRoute{Rbac: &rbacv3.RBAC{Rules: &rbacconfigv3.RBAC{
		Action: rbacconfigv3.RBAC_ALLOW,
		Policies: map[string]*rbacconfigv3.Policy{"pass": {
			Permissions: []*rbacconfigv3.Permission{{Rule: &rbacconfigv3.Permission_Any{Any: true}}},
			Principals: []*rbacconfigv3.Principal{
				header(&routev3.HeaderMatcher{Name: contract.HeaderPassOwner, HeaderMatchSpecifier: envoyapi.Exact(contract.EncodeHeader(owner))}),
				{Identifier: &rbacconfigv3.Principal_AndIds{AndIds: &rbacconfigv3.Principal_Set{Ids: []*rbacconfigv3.Principal{
					header(envoyapi.Present(contract.HeaderPassOwner, false)), header(envoyapi.Present(contract.HeaderUser, true)),
				}}}},
			},
		}},
	}}}
}
