package roster

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// has is a server in a phase, started and last used so many minutes after noon; 0 for never.
func has(name string, phase spawn.Phase, started, used int) spawn.Server {
	s := spawn.Server{ID: server.ID{Name: name}, Status: spawn.Status{Phase: phase}}
	if started > 0 {
		s.Created, s.Profile = noon.Add(time.Duration(started)*time.Minute), "lab"
	}
	if used > 0 {
		s.LastActivity = noon.Add(time.Duration(used) * time.Minute)
	}
	return s
}

// class are people in the order of their names.
func class() []Person {
	gpu := has("train", spawn.Answering, 5, 9)
	gpu.Profile, gpu.DisplayName = "gpu", "Übung Zwei"
	return []Person{
		{Name: "Ana"},
		{Name: "bob", Servers: []spawn.Server{has("", spawn.Failed, 3, 0), gpu}},
		{Name: "carol", Published: []server.Server{{ID: server.ID{User: "carol", Name: "rstudio"}, Created: noon.Add(7 * time.Minute)}}},
		{Name: "dora", Servers: []spawn.Server{has("", spawn.Pending, 4, 2)}},
		{Name: "emil", Servers: []spawn.Server{has("", spawn.Stopping, 1, 1)}},
		{Name: "zoë", Servers: []spawn.Server{has("kept", spawn.Stopped, 0, 0)}},
	}
}

func names(some []Person) string {
	all := make([]string, len(some))
	for i, p := range some {
		all[i] = p.Name
	}
	return strings.Join(all, " ")
}

func TestSelect(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"":                           "Ana bob carol dora emil zoë",
		"sort=-name":                 "zoë emil dora carol bob Ana",
		"q=A":                        "Ana bob carol dora",
		"q=+ANA+":                    "Ana",
		"q=%C3%BCbung":               "bob",
		"q=train":                    "bob",
		"q=nobody":                   "",
		"state=running":              "bob carol",
		"state=starting":             "dora",
		"state=failed":               "bob",
		"state=stopped":              "Ana zoë",
		"profile=gpu":                "bob",
		"profile=lab&state=starting": "dora",
		"sort=started":               "emil dora bob carol Ana zoë",
		"sort=-started":              "carol bob dora emil Ana zoë",
		"sort=-activity":             "bob dora emil Ana carol zoë",
		"sort=activity&q=o":          "dora bob carol zoë",
		"sort=nonsense&state=flying": "Ana bob carol dora emil zoë",
	} {
		v, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if got := names(ParseQuery(v).Select(class())); got != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	if got, want := Count(class()), (Counts{People: 6, Running: 2, Starting: 1, Failed: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if diff := cmp.Diff([]string{"gpu", "lab"}, Profiles(class())); diff != "" {
		t.Error(diff)
	}
}

// TestPages: every one of a long list is on one page, whatever page is asked for.
func TestPages(t *testing.T) {
	t.Parallel()
	var all []Person
	for i := range 2*PageSize + 1 {
		all = append(all, Person{Name: fmt.Sprintf("u%03d", i)})
	}
	for page, want := range map[string]string{
		"": "1 50 1 next", "1": "1 50 1 next", "2": "51 50 2 previous next", "3": "101 1 3 previous", "4": "101 1 3 previous", "999999": "101 1 3 previous",
		"0": "1 50 1 next", "-1": "1 50 1 next", "x": "1 50 1 next", "99999999999999999999": "1 50 1 next",
	} {
		some, first, q := ParseQuery(url.Values{KeyPage: {page}}).Cut(all)
		got := fmt.Sprint(first, " ", len(some), " ", q.Page)
		before, after, hasBefore, hasAfter := q.Neighbours(len(all))
		if hasBefore {
			got += " previous"
		}
		if hasAfter {
			got += " next"
		}
		if got != want || before.Page != q.Page-1 || after.Page != q.Page+1 {
			t.Errorf("page %q: %s, want %s", page, got, want)
		}
	}
	if some, _, q := ParseQuery(url.Values{KeyPage: {"7"}}).Cut(nil); len(some) != 0 || q.Page != 1 {
		t.Errorf("nobody: %v %+v", some, q)
	}
}

// TestValuesComeBack: a link leads to the same list.
func TestValuesComeBack(t *testing.T) {
	t.Parallel()
	for _, q := range []Query{
		{Sort: ByName, Page: 1},
		{Search: "a&b=c <x>", State: Failed, Profile: "gpu", Sort: ByActivity, Descending: true, Page: 3},
		{Sort: ByName, Descending: true, Page: 2},
	} {
		if got := ParseQuery(q.Values()); got != q {
			t.Errorf("%+v became %+v", q, got)
		}
	}
	if (Query{}).Values().Encode() != "" || (Query{Sort: ByName, Page: 1}).Values().Encode() != "" {
		t.Error("the usual list has a query")
	}
}

func TestBy(t *testing.T) {
	t.Parallel()
	q := Query{Search: "x", Sort: ByName, Page: 4}
	if got := q.By(ByStart); got != (Query{Search: "x", Sort: ByStart, Descending: true, Page: 1}) {
		t.Errorf("times begin with the latest: %+v", got)
	}
	if got := q.By(ByName); !got.Descending || got.By(ByName).Descending {
		t.Errorf("a second click turns the list round: %+v", got)
	}
}

// TestD5_LongSearches: a search that is longer than any name is cut, and finds nobody.
func TestD5_LongSearches(t *testing.T) {
	t.Parallel()
	for _, text := range []string{strings.Repeat("a", 10_000), strings.Repeat("ü", 10_000), strings.Repeat("\xff", 10_000)} {
		q := ParseQuery(url.Values{KeySearch: {text}, KeyProfile: {text}})
		if len(q.Search) > maxSearch || len(q.Profile) > maxSearch || strings.ToValidUTF8(q.Search, "") != q.Search {
			t.Errorf("%d bytes are kept", len(q.Search))
		}
	}
}

func FuzzParseQuery(f *testing.F) {
	f.Add("q=a&state=running&sort=-name&page=2")
	f.Add("q=%ff&page=-1&sort=--name")
	f.Fuzz(func(t *testing.T, text string) {
		v, _ := url.ParseQuery(text)
		q := ParseQuery(v)
		if q.Page < 1 || ParseQuery(q.Values()) != q {
			t.Errorf("%q became %+v", text, q)
		}
		some, _, _ := q.Cut(q.Select(class()))
		if len(some) > len(class()) {
			t.Errorf("%q: %d people", text, len(some))
		}
	})
}
