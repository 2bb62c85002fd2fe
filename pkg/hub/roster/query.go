package roster

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// PageSize is how many people one page shows.
const PageSize = 50

// Order is what people are sorted by.
type Order string

// Orders. The zero Order is that of names.
const (
	ByName     Order = "name"
	ByStart    Order = "started"
	ByActivity Order = "activity"
)

// Orders are all of them, in the order of the columns.
func Orders() []Order { return []Order{ByName, ByStart, ByActivity} }

const (
	// maxSearch bounds a search in bytes: names are shorter.
	maxSearch = 256
	// maxPage bounds the number of a page.
	maxPage = 1 << 20
)

// Names of a query's parameters, which are the form's fields.
const (
	KeySearch  = "q"
	KeyState   = "state"
	KeyProfile = "profile"
	KeySort    = "sort"
	KeyPage    = "page"
)

// Query is what an administrator looks for. The zero Query is everybody, by name.
type Query struct {
	Search     string
	State      State  // "" for any
	Profile    string // "" for any
	Sort       Order
	Descending bool
	Page       int // from 1; 0 is the first too
}

// ParseQuery reads a query. What makes no sense is left out: the values are from a link or from
// a form of ours, and a list that is too long harms nobody.
func ParseQuery(v url.Values) Query {
	q := Query{
		Search: strings.TrimSpace(shorten(v.Get(KeySearch))), State: State(v.Get(KeyState)), Profile: shorten(v.Get(KeyProfile)),
		Sort: ByName, Page: 1,
	}
	if !slices.Contains(States(), q.State) {
		q.State = ""
	}
	order, descending := strings.CutPrefix(v.Get(KeySort), "-")
	if slices.Contains(Orders(), Order(order)) {
		q.Sort, q.Descending = Order(order), descending
	}
	if n, err := strconv.Atoi(v.Get(KeyPage)); err == nil && n >= 1 && n <= maxPage {
		q.Page = n
	}
	return q
}

// shorten cuts a text to maxSearch bytes of valid characters.
func shorten(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxSearch)], "")
}

// Values returns the parameters that ParseQuery reads, without those that change nothing.
func (q Query) Values() url.Values {
	v := url.Values{}
	for key, value := range map[string]string{KeySearch: q.Search, KeyState: string(q.State), KeyProfile: q.Profile} {
		if value != "" {
			v.Set(key, value)
		}
	}
	if s := q.SortValue(); s != string(ByName) {
		v.Set(KeySort, s)
	}
	if q.Page > 1 {
		v.Set(KeyPage, strconv.Itoa(q.Page))
	}
	return v
}

// SortValue is the order as a parameter.
func (q Query) SortValue() string {
	order := q.Sort
	if order == "" {
		order = ByName
	}
	if q.Descending {
		return "-" + string(order)
	}
	return string(order)
}

// By returns the query for a click on the head of a column: the other direction if the list is
// in that order. Times begin with the latest.
func (q Query) By(o Order) Query {
	if o == q.Sort {
		q.Descending = !q.Descending
	} else {
		q.Sort, q.Descending = o, o != ByName
	}
	q.Page = 1
	return q
}

// Cut returns the people of the query's page, with the number of the first, from 1, and the
// query with a page that there is.
func (q Query) Cut(some []Person) (page []Person, first int, at Query) {
	last := max(1, (len(some)+PageSize-1)/PageSize)
	q.Page = min(max(q.Page, 1), last)
	from := (q.Page - 1) * PageSize
	return some[from:min(from+PageSize, len(some))], from + 1, q
}

// Neighbours returns the pages before and after the query's of a list of n people; false where
// there is none.
func (q Query) Neighbours(n int) (before, after Query, hasBefore, hasAfter bool) {
	before, after = q, q
	before.Page, after.Page = q.Page-1, q.Page+1
	return before, after, before.Page >= 1, q.Page*PageSize < n
}
