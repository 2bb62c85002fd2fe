package paging

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/perijove/perijove/pkg/web/origin"
)

// JupyterHub's numbers (apihandlers/base.py): clients that know of pages get short ones.
const (
	// MediaType in the header Accept says that a client knows of pages.
	MediaType = "application/jupyterhub-pagination+json"
	// Default is how many items such a client gets that does not say how many.
	Default = 50
	// Most is how many items a page has at most.
	Most = 200
)

// Request is which part of a list a request asks for.
type Request struct {
	Offset, Limit int
	// Paged says that the client knows of pages. Others get Most items unless they ask for less.
	Paged bool
	// Values are all of the query.
	Values url.Values

	origin, path string
}

// Read reads what a request asks for. An error says what is wrong with its query.
func Read(r *http.Request) (Request, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return Request{}, errors.New("the query cannot be read")
	}
	q := Request{
		Paged: strings.Contains(strings.Join(r.Header.Values("Accept"), ","), MediaType), Values: values,
		origin: origin.OfRequest(r), path: r.URL.Path,
	}
	without := Most
	if q.Paged {
		without = Default
	}
	if q.Offset, err = number(values, "offset", 0, 0); err != nil {
		return Request{}, err
	}
	if q.Limit, err = number(values, "limit", without, 1); err != nil {
		return Request{}, err
	}
	q.Limit = min(q.Limit, Most)
	return q, nil
}

// number reads a whole number of at least least.
func number(values url.Values, key string, without, least int) (int, error) {
	text := values.Get(key)
	if text == "" {
		return without, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		return 0, fmt.Errorf("%s must be a whole number of at least %d", key, least)
	}
	return n, nil
}

// Of returns the bounds of the part in a list of n items.
func (q Request) Of(n int) (from, to int) {
	from = min(q.Offset, n)
	return from, min(from+q.Limit, n)
}

// page is JupyterHub's pagination, which says where the next page is.
type page struct {
	Offset int   `json:"offset"`
	Limit  int   `json:"limit"`
	Total  int   `json:"total"`
	Next   *next `json:"next"`
}

type next struct {
	Offset int    `json:"offset"`
	Limit  int    `json:"limit"`
	URL    string `json:"url"`
}

// Answer is what a client gets: items, which are the part of a list of total items, with the address of
// the next page for clients that know of pages.
func (q Request) Answer(items any, total int) any {
	if !q.Paged {
		return items
	}
	p := page{Offset: q.Offset, Limit: q.Limit, Total: total}
	if _, to := q.Of(total); to < total {
		p.Next = &next{Offset: to, Limit: q.Limit, URL: q.address(to)}
	}
	return map[string]any{"items": items, "_pagination": p}
}

// address is the address of the page from offset on, whole: JupyterHub's clients ask what they find.
func (q Request) address(offset int) string {
	values := url.Values{}
	for key, all := range q.Values {
		values[key] = all
	}
	values.Set("offset", strconv.Itoa(offset))
	values.Set("limit", strconv.Itoa(q.Limit))
	return q.origin + (&url.URL{Path: q.path, RawQuery: values.Encode()}).String()
}
