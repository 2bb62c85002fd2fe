package app

import (
	"log/slog"
	"net/http"

	"github.com/perijove/perijove/pkg/auth/pass"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/web"
)

// newMux answers what belongs to no page of a user: static files, the keys of passes, and
// 404 for what does not exist.
func newMux(passes *pass.Ring, pages *web.Renderer, log *slog.Logger) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET "+contract.PathStatic, web.Static())
	mux.HandleFunc("GET "+contract.PathPassKeys, passKeys(passes, log))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		pages.Page(w, r, http.StatusNotFound, web.Message{
			Status: http.StatusNotFound, Title: "error.not_found", Text: "error.not_found_text", RequestID: telemetry.RequestID(r.Context()),
			ActionURL: contract.PathHub, Action: "error.back",
		})
	})
	return mux
}

// passKeys tells Envoy how to verify passes.
func passKeys(passes *pass.Ring, log *slog.Logger) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		keys, err := passes.JWKS()
		if err != nil {
			log.ErrorContext(r.Context(), "the keys of passes cannot be encoded", "error", err)
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(keys)
	}
}
