package pool

import (
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // the spawner's image has no time zones
)

// Plan is how many pods of a profile wait, as an administrator writes it. The zero Plan is no pool.
type Plan struct {
	// Size is how many wait when no hours say otherwise.
	Size int `yaml:"size"`
	// Hours say how many wait at least at some times of the week.
	Hours []Hours `yaml:"hours"`
	// Timezone is that of Hours, by its name in the IANA database (Europe/Berlin); "" is UTC.
	Timezone string `yaml:"timezone"`
	// Group is for whose members the pods are made: they have what the group shares and overrides. ""
	// is the first of the profile's allowed groups, or else what everybody has.
	Group string `yaml:"group"`
}

// Hours is a time of the day on some days of the week.
type Hours struct {
	// Days are mon, tue, wed, thu, fri, sat and sun; none is every day.
	Days []string `yaml:"days"`
	// From and To are times of the day, 08:00 to 24:00. From after To is over midnight, and belongs to
	// the day on which it begins.
	From string `yaml:"from"`
	To   string `yaml:"to"`
	Size int    `yaml:"size"`
}

// Fault is one thing that is wrong with a Plan.
type Fault struct{ Key, Text string }

const (
	// MaxSize bounds a pool: each pod of it takes room that no user has.
	MaxSize = 500
	// maxHours bounds what is looked at each time.
	maxHours = 100

	daysPerWeek = 7
	hoursPerDay = 24
	perHour     = 60 // minutes
	wholeDay    = hoursPerDay * perHour
)

// days are the names in the order of time.Weekday.
var days = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// IsZero reports whether there is no pool.
func (p Plan) IsZero() bool {
	return p.Size == 0 && len(p.Hours) == 0 && p.Timezone == "" && p.Group == ""
}

// Faults returns everything that is wrong, with keys below the plan's own.
func (p Plan) Faults() (all []Fault) {
	add := func(ok bool, key, format string, args ...any) {
		if !ok {
			all = append(all, Fault{key, fmt.Sprintf(format, args...)})
		}
	}
	size := func(key string, n int) {
		add(n >= 0 && n <= MaxSize, key, "must be a number from 0 to %d", MaxSize)
	}
	size("size", p.Size)
	_, err := time.LoadLocation(p.Timezone)
	add(err == nil && p.Timezone != "Local", "timezone", "%.64q is no time zone like Europe/Berlin", p.Timezone)
	add(len(p.Hours) <= maxHours, "hours", "must be %d at most", maxHours)
	for i, h := range p.Hours {
		key := fmt.Sprintf("hours[%d].", i)
		size(key+"size", h.Size)
		from, fromOK := minutes(h.From)
		to, toOK := minutes(h.To)
		add(fromOK && from < wholeDay, key+"from", "%.16q is no time of the day like 08:00", h.From)
		add(toOK, key+"to", "%.16q is no time of the day like 18:00", h.To)
		add(!fromOK || !toOK || from != to, key+"to", "is the same as from")
		for j, day := range h.Days {
			add(slices.Contains(days, day), fmt.Sprintf("%sdays[%d]", key, j), "must be mon, tue, wed, thu, fri, sat or sun")
		}
	}
	return all
}

// minutes reads a time of the day, 00:00 to 24:00.
func minutes(text string) (int, bool) {
	hour, minute, ok := strings.Cut(text, ":")
	h, hOK := two(hour)
	m, mOK := two(minute)
	n := h*perHour + m
	return n, ok && hOK && mOK && m < perHour && n <= wholeDay
}

// two reads two digits.
func two(text string) (int, bool) {
	if len(text) != 2 || text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9' {
		return 0, false
	}
	return int(text[0]-'0')*10 + int(text[1]-'0'), true
}

// SizeAt returns how many pods of a plan without faults wait at a moment: the most of all hours that
// it is in, or else Size.
func (p Plan) SizeAt(now time.Time) int {
	zone, err := time.LoadLocation(p.Timezone)
	if err != nil {
		return p.Size
	}
	now = now.In(zone)
	most, within := 0, false
	for _, h := range p.Hours {
		if h.hold(now) {
			most, within = max(most, h.Size), true
		}
	}
	if within {
		return most
	}
	return p.Size
}

// hold reports whether a moment, in the zone of the plan, is within the hours.
func (h Hours) hold(now time.Time) bool {
	from, _ := minutes(h.From) // validated
	to, _ := minutes(h.To)
	at, today := now.Hour()*perHour+now.Minute(), int(now.Weekday())
	if from < to {
		return at >= from && at < to && h.on(today)
	}
	return at >= from && h.on(today) || at < to && h.on((today+daysPerWeek-1)%daysPerWeek)
}

func (h Hours) on(weekday int) bool {
	return len(h.Days) == 0 || slices.Contains(h.Days, days[weekday])
}
