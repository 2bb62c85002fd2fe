package hub

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/cookies"
)

// Names of the spawn form's fields, as KubeSpawner's form has them, so that a link or a script
// made for it fits.
const (
	fieldProfile = "profile"
	fieldSafe    = "safe"
	fieldOption  = "profile-option-" // then <profile>--<option>
	// typedChoice is the list's entry for a value that the user types.
	typedChoice = "unlisted-choice"
)

// The choice of a user's last start, for the next form. It preselects and allows nothing, so
// it needs no seal: a page of the same host that plants one changes what the user sees chosen.
const (
	lastChoice     = "perijove-last-choice"
	lastChoiceAge  = 365 * 24 * 3600 // seconds
	lastChoiceSize = 3 << 10
)

// options reads what the form chose. The form that tries again chooses nothing.
func options(r *http.Request) spawn.Options {
	o := spawn.Options{Profile: r.PostFormValue(fieldProfile), Safe: r.PostFormValue(fieldSafe) != "", Choices: map[string]string{}}
	prefix := fieldOption + o.Profile + "--"
	for field, values := range r.PostForm {
		name, ok := strings.CutPrefix(field, prefix)
		if !ok || len(values) == 0 || values[0] == "" || values[0] == typedChoice {
			continue
		}
		// The field to type into is sent even while the list says something else.
		if option, typed := strings.CutSuffix(name, spawn.TypedSuffix); typed {
			if chosen, listed := r.PostForm[prefix+option]; listed && chosen[0] != typedChoice {
				continue
			}
		}
		o.Choices[name] = values[0]
	}
	return o
}

// preselected is what the form shows as chosen: what the link says, else what the server was
// started with, else the user's last choice. It starts nothing (S9).
func preselected(r *http.Request, kept spawn.Options) spawn.Options {
	query := r.URL.Query()
	if slug := query.Get(fieldProfile); slug != "" {
		o := spawn.Options{Profile: slug, Choices: map[string]string{}}
		for name, values := range query {
			if !slices.Contains([]string{fieldProfile, fieldDisplay, "next", chooseAgain}, name) {
				o.Choices[name] = values[0]
			}
		}
		return o
	}
	if kept.Profile != "" {
		return kept
	}
	for _, value := range cookies.All(strings.Join(r.Header.Values("Cookie"), "; "), lastChoice) {
		text, err := base64.RawURLEncoding.DecodeString(value)
		if err != nil || len(text) > lastChoiceSize {
			continue
		}
		if o, err := spawn.ParseOptions(text); err == nil {
			return o
		}
	}
	return spawn.Options{}
}

// remember keeps the choice for the user's next form.
func remember(w http.ResponseWriter, o spawn.Options) {
	o.Safe = false
	text, err := json.Marshal(o)
	if err != nil || o.IsZero() || len(text) > lastChoiceSize {
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: lastChoice, Value: base64.RawURLEncoding.EncodeToString(text), Path: contract.PathHub, MaxAge: lastChoiceAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// choosable reports whether there is anything to choose in a catalog.
func choosable(c spawn.Catalog) bool {
	return len(c) > 1 || len(c) == 1 && len(c[0].Options) > 0
}

// forms turns a catalog that is not empty into what the page shows.
func forms(c spawn.Catalog, chosen spawn.Options) []web.Profile {
	if !slices.ContainsFunc(c, func(p spawn.Profile) bool { return p.Slug == chosen.Profile }) {
		chosen = spawn.Options{Profile: c.Default().Slug}
	}
	var all []web.Profile
	for _, p := range c {
		one := web.Profile{
			Slug: p.Slug, DisplayName: p.DisplayName, Description: p.Description, Temporary: !p.Override.Persistent(),
			Image:    p.Fact(func(o spawn.Override) string { return o.Image }),
			CPU:      p.Fact(func(o spawn.Override) string { return o.CPULimit.Words() }),
			Memory:   p.Fact(func(o spawn.Override) string { return o.MemLimit.Words() }),
			Storage:  p.Fact(spawn.Override.Storage),
			Selected: p.Slug == chosen.Profile,
		}
		for _, name := range p.OptionNames() {
			o := spawn.Options{}
			if one.Selected {
				o = chosen
			}
			one.Options = append(one.Options, option(p, name, o))
		}
		all = append(all, one)
	}
	return all
}

// option is one choice within a profile, with what is chosen.
func option(p spawn.Profile, name string, chosen spawn.Options) web.Option {
	from := p.Options[name]
	one := web.Option{Name: fieldOption + p.Slug + "--" + name, Label: cmp.Or(from.DisplayName, name)}
	value, typed := chosen.Choices[name], chosen.Choices[name+spawn.TypedSuffix]
	if _, known := from.Choices[value]; !known && value != typedChoice {
		value = from.DefaultChoice()
	}
	if typed != "" && from.Unlisted.Enabled {
		value = typedChoice
	}
	for _, choice := range from.Values() {
		one.Choices = append(one.Choices, web.Choice{Value: choice, Label: from.Choices[choice].DisplayName, Selected: choice == value})
	}
	if u := from.Unlisted; u.Enabled {
		one.Typed = &web.Typed{
			Name: one.Name + spawn.TypedSuffix, Label: u.DisplayName, Hint: u.ValidationMessage, Value: typed,
			Choice: web.Choice{Value: typedChoice, Label: cmp.Or(u.DisplayNameInChoices, u.DisplayName), Selected: value == typedChoice},
		}
	}
	return one
}

// chooseAgain is the query parameter that shows the form of a server that failed.
const chooseAgain = "choose"

// chooseURL leads to the form of a server whose start failed.
func chooseURL(path, next string) string {
	query := url.Values{chooseAgain: {"1"}}
	if next != "" {
		query.Set("next", next)
	}
	return path + "?" + query.Encode()
}
