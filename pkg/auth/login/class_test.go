package login

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/access"
)

// TestAClassLogsInAtOnce: 130 students behind one address post right passwords in the same
// moment. None has failed, so none is told of too many failed attempts: all are in.
func TestAClassLogsInAtOnce(t *testing.T) {
	t.Parallel()
	const class = 130
	e := newEnv(t)
	e.keeper = e.list.Keeper
	e.Check = func(_ context.Context, name, password string) (Proof, error) {
		time.Sleep(5 * time.Millisecond) // the directory's own time; without it none would meet
		if password != name+"-password" {
			return Proof{}, access.ErrCredentials
		}
		return Proof{User: access.User{Name: name}, Links: []identity.Link{identity.Named(name)}}, nil
	}
	browsers := make([]*browser, class)
	forms := make([]string, class)
	for i := range class {
		browsers[i] = e.browser(t)
		name := fmt.Sprintf("student-%03d", i)
		forms[i] = url.Values{
			"username": {name}, "password": {name + "-password"}, "next": {"/hub/home"},
			contract.XSRFName: {token(t, browsers[i].do("GET", "/hub/login", "", nil))},
		}.Encode()
	}
	codes := make([]int, class)
	var running sync.WaitGroup
	for i, b := range browsers {
		running.Go(func() {
			codes[i] = b.do("POST", "/hub/login", forms[i], map[string]string{contract.HeaderClientAddress: "192.0.2.1"}).StatusCode
		})
	}
	running.Wait()
	for i, code := range codes {
		if code != http.StatusSeeOther {
			t.Errorf("student %d: %d", i, code)
		}
		if open := e.list.Sessions(fmt.Sprintf("student-%03d", i)); len(open) != 1 {
			t.Errorf("student %d has %d recorded sessions", i, len(open))
		}
	}
	if strings.Contains(e.log.String(), "could not be recorded") {
		t.Error("a session was not recorded")
	}
	// The negative control: as many wrong passwords from there are stopped soon.
	wrong := 0
	for i := range class {
		res := e.browser(t).post(fmt.Sprintf("student-%03d", i), "guess", "", map[string]string{contract.HeaderClientAddress: "192.0.2.1"})
		if res.StatusCode == http.StatusForbidden {
			wrong++
		}
	}
	if wrong == 0 || wrong > 70 {
		t.Errorf("%d of %d guesses were checked", wrong, class)
	}
}
