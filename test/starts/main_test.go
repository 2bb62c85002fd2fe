package starts

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/test/apiserver"
	"github.com/perijove/perijove/test/netns"
	"github.com/perijove/perijove/test/repo"
)

// api is one for all tests of this package: each has a namespace of its own.
var api *apiserver.API

func TestMain(m *testing.M) {
	kwok, err := apiserver.BuildKwok()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(netns.Main(func() int { return within(m, kwok) }))
}

func within(m *testing.M, kwok string) int {
	root, err := repo.Find()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if api, err = apiserver.Start(filepath.Join(root, "test", "output", "starts")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer api.Stop()
	if err := api.Kwok(kwok, netns.PodNetwork); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go servePods()
	return m.Run()
}

// silent is how the names of users begin whose servers never answer.
const silent = "silent"

// servePods answers at the address of every pod, as their servers would.
func servePods() {
	srv := &http.Server{Addr: ":8888", ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/user/"+silent) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})}
	fmt.Fprintln(os.Stderr, srv.ListenAndServe())
}
