package spawn

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/perijove/perijove/pkg/server/access"
)

// ProfileOption is one thing that a user chooses within a profile, in the shape of an entry
// of profile_options in KubeSpawner's profile_list.
type ProfileOption struct {
	DisplayName string            `yaml:"display_name"`
	Choices     map[string]Choice `yaml:"choices"`
	Unlisted    Unlisted          `yaml:"unlisted_choice"`
}

// Choice is one value of a ProfileOption. Helm keeps no order of keys, and so choices are
// shown in the order of their names.
type Choice struct {
	DisplayName string `yaml:"display_name"`
	// Default marks the choice of users who choose nothing; without one it is the first.
	Default bool `yaml:"default"`
	// AllowedGroups are the groups whose users may choose it; empty means all users.
	AllowedGroups []string `yaml:"allowed_groups"`
	Override      Override `yaml:"kubespawner_override"`
}

// Unlisted is a value that the user types. In the texts of Override {value} stands for it.
type Unlisted struct {
	Enabled bool `yaml:"enabled"`
	// DisplayName labels the field, DisplayNameInChoices the entry among the choices.
	DisplayName          string `yaml:"display_name"`
	DisplayNameInChoices string `yaml:"display_name_in_choices"`
	// ValidationRegex must match the whole value (RE2); "" takes every value that makes a
	// valid server. ValidationMessage tells the user what is wanted.
	ValidationRegex   string   `yaml:"validation_regex"`
	ValidationMessage string   `yaml:"validation_message"`
	Override          Override `yaml:"kubespawner_override"`
}

// TypedSuffix ends the key of a typed value in user_options, as in KubeSpawner: the option's name
// stands before it.
const TypedSuffix = "--unlisted-choice"

const (
	// placeholder stands for the typed value in an override.
	placeholder = "{value}"
	// maxUnlisted bounds a typed value in bytes: it is kept on the pod.
	maxUnlisted = 1024
)

// OptionPattern is what keys of profile_options and of choices are: they are names of form
// fields, and keys of JupyterHub's user_options.
const OptionPattern = `^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`

var validOption = regexp.MustCompile(OptionPattern)

// validateOptions checks each choice by the server that it makes from the profile.
func (p Profile) validateOptions(f *faults) {
	for _, name := range sorted(p.Options) {
		option, key := p.Options[name], "profile_options."+name
		f.check(validOption.MatchString(name) && !strings.Contains(name, "--"), key, "must be letters, digits, dots and single dashes")
		f.check(name != keyProfile && name != keySafe, key, "is a name of the platform's")
		f.check(len(option.Choices) > 0 || option.Unlisted.Enabled, key, "has neither choices nor an unlisted_choice")
		defaults := 0
		for _, value := range sorted(option.Choices) {
			choice, at := option.Choices[value], key+".choices."+value
			f.check(validOption.MatchString(value), at, "must be letters, digits, dots and dashes")
			f.check(choice.DisplayName != "", at+".display_name", "is required")
			f.check(!nameless(choice.AllowedGroups), at+".allowed_groups", "has an empty name")
			if choice.Default {
				defaults++
			}
			p.validateOver(f, at, choice.Override)
		}
		f.check(defaults <= 1, key+".choices", "has more than one default")
		p.validateUnlisted(f, key+".unlisted_choice", option.Unlisted)
	}
}

// validateOver records what a choice makes worse than the profile is without it.
func (p Profile) validateOver(f *faults, key string, over Override) {
	known := p.Override.faults()
	for _, fault := range p.Override.with(over).faults() {
		if !slices.Contains(known, fault) {
			*f = append(*f, Fault{key + ".kubespawner_override." + fault.Key, fault.Text})
		}
	}
}

func (p Profile) validateUnlisted(f *faults, key string, u Unlisted) {
	if !u.Enabled {
		return
	}
	f.check(u.DisplayName != "", key+".display_name", "is required")
	_, err := regexp.Compile(u.ValidationRegex)
	f.check(err == nil, key+".validation_regex", "is no regular expression (RE2): %v", err)
	marked := u.Override.fill(func(s string) string { return strings.ReplaceAll(s, placeholder, "") })
	f.check(!marked.equal(u.Override), key+".kubespawner_override", "has no %s", placeholder)
	p.validateTyped(f, key, u)
}

// validateTyped records what no typed value could mend: the faults that remain whatever kind
// of value stands for {value}.
func (p Profile) validateTyped(f *faults, key string, u Unlisted) {
	remain := map[string]int{}
	kinds := []string{"x", "1", "/x"}
	for _, value := range kinds {
		var found faults
		p.validateOver(&found, key, u.Override.fill(func(s string) string { return strings.ReplaceAll(s, placeholder, value) }))
		for _, fault := range found {
			if remain[fault.Key]++; remain[fault.Key] == len(kinds) {
				*f = append(*f, fault)
			}
		}
	}
}

// accept returns the override of a typed value, or false when the option does not take it.
func (u Unlisted) accept(value string) (Override, bool) {
	if !u.Enabled || value == "" || len(value) > maxUnlisted {
		return Override{}, false
	}
	if u.ValidationRegex != "" {
		whole, err := regexp.Compile(`^(?:` + u.ValidationRegex + `)$`)
		if err != nil || !whole.MatchString(value) {
			return Override{}, false
		}
	}
	return u.Override.fill(func(s string) string { return strings.ReplaceAll(s, placeholder, value) }), true
}

// allowed returns the option with the choices that a user with these groups has; false when
// nothing is left to choose from.
func (o ProfileOption) allowed(groups access.Groups) (ProfileOption, bool) {
	choices := map[string]Choice{}
	for value, choice := range o.Choices {
		if open(choice.AllowedGroups, groups) {
			choices[value] = choice
		}
	}
	o.Choices = choices
	return o, len(choices) > 0 || o.Unlisted.Enabled
}

// DefaultChoice is the choice of a user who chooses nothing, "" when there is none.
func (o ProfileOption) DefaultChoice() string {
	values := sorted(o.Choices)
	for _, value := range values {
		if o.Choices[value].Default {
			return value
		}
	}
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// Values returns the names of the choices, in the order in which users see them.
func (o ProfileOption) Values() []string { return sorted(o.Choices) }

// choose returns the override that a user's options pick for the option called name.
func (o ProfileOption) choose(name string, options Options) (Override, error) {
	if typed, ok := options.Choices[name+TypedSuffix]; ok && typed != "" {
		over, ok := o.Unlisted.accept(typed)
		if !ok {
			return Override{}, o.problem(name, fmt.Errorf("a typed value of %d bytes is not accepted", len(typed)))
		}
		return over, nil
	}
	value, chosen := options.Choices[name]
	if !chosen || value == "" {
		value = o.DefaultChoice()
		if value == "" {
			return Override{}, nil // only a typed value, and none was typed
		}
	}
	choice, ok := o.Choices[value]
	if !ok {
		return Override{}, o.problem(name, errors.New("there is no such choice, or it is another group's"))
	}
	return choice.Override, nil
}

// problem tells the user what the option takes.
func (o ProfileOption) problem(name string, err error) *Problem {
	wanted := strings.Join(o.Values(), ", ")
	if o.Unlisted.Enabled && o.Unlisted.ValidationMessage != "" {
		wanted = o.Unlisted.ValidationMessage
	}
	return &Problem{Message: MsgChoice, Data: map[string]string{"Option": cmp.Or(o.DisplayName, name), "Choices": wanted}, Err: err}
}

// Fact returns what fact says of the profile's servers, "" when that depends on what the user chooses.
func (p Profile) Fact(fact func(Override) string) string {
	said := fact(p.Override)
	for _, option := range p.Options {
		for _, choice := range option.Choices {
			if fact(p.Override.with(choice.Override)) != said {
				return ""
			}
		}
		if option.Unlisted.Enabled && fact(p.Override.with(option.Unlisted.Override)) != said {
			return ""
		}
	}
	return said
}
