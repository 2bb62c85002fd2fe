package paging_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/web/paging"
)

func TestRead(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]struct{ offset, limit, from, to int }{
		"":                             {0, 200, 0, 120},
		"?limit=10":                    {0, 10, 0, 10},
		"?offset=115&limit=10":         {115, 10, 115, 120},
		"?offset=120":                  {120, 200, 120, 120},
		"?limit=999999999999":          {0, 200, 0, 120},
		"?offset=9223372036854775807":  {9223372036854775807, 200, 120, 120},
		"?offset=&limit=&other=thing":  {0, 200, 0, 120},
		"?offset=3&offset=7&limit=001": {3, 1, 3, 4},
	} {
		q, err := paging.Read(httptest.NewRequest("GET", "/hub/api/users"+query, nil))
		from, to := q.Of(120)
		if err != nil || q.Offset != want.offset || q.Limit != want.limit || from != want.from || to != want.to {
			t.Errorf("%s: %+v, %d to %d, %v", query, q, from, to, err)
		}
	}
	for query, says := range map[string]string{
		"?offset=-1": "offset", "?offset=x": "offset", "?offset=1.5": "offset", "?offset=99999999999999999999": "offset",
		"?limit=0": "limit", "?limit=-3": "limit", "?limit=many": "limit", "?x=%zz": "query", "?a;b": "query",
	} {
		r := httptest.NewRequest("GET", "/hub/api/users", nil)
		r.URL.RawQuery = query[1:]
		if _, err := paging.Read(r); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// TestAnswer: a client that knows of pages is led from one to the next until there is none.
func TestAnswer(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("GET", "http://hub.test/hub/api/users?sort=-name&limit=2", nil)
	r.Header.Set("Accept", "application/json, "+paging.MediaType)
	r.Header.Set("X-Forwarded-Proto", "https")
	q, err := paging.Read(r)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"_pagination":{"offset":0,"limit":2,"total":3,"next":{"offset":2,"limit":2,"url":"https://hub.test/hub/api/users?limit=2\u0026offset=2\u0026sort=-name"}},"items":["a","b"]}`
	if got, _ := json.Marshal(q.Answer([]string{"a", "b"}, 3)); string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, _ := json.Marshal(q.Answer([]string{"a", "b"}, 2)); !strings.Contains(string(got), `"next":null`) {
		t.Errorf("the last page: %s", got)
	}
	r.Header.Del("Accept")
	if q, err = paging.Read(r); err != nil {
		t.Fatal(err)
	}
	if got, _ := json.Marshal(q.Answer([]string{"a"}, 3)); string(got) != `["a"]` {
		t.Errorf("a client without pages: %s", got)
	}
}
