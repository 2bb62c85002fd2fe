package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/announce"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

// Board keeps what administrators say to everybody.
type Board interface {
	// Shown returns the messages that are shown at this moment, latest last.
	Shown() announce.List
	// Post shows one more message, or returns announce.ErrMany.
	Post(ctx context.Context, m announce.Message) error
	// Remove takes a message away, or does nothing when it is gone.
	Remove(ctx context.Context, id string) error
}

// silence is a Board on which nothing is said.
type silence struct{}

func (silence) Shown() announce.List                         { return nil }
func (silence) Post(context.Context, announce.Message) error { return announce.ErrMany }
func (silence) Remove(context.Context, string) error         { return nil }

// announcements are the messages as pages show them.
func announcements(b Board) func(language string) []web.Announcement {
	return func(language string) (all []web.Announcement) {
		for _, m := range b.Shown() {
			all = append(all, web.Announcement{Text: m.Text(language), Warning: m.Level == announce.Warning})
		}
		return all
	}
}

const pathMessages = contract.PathAdmin + "/messages"

// hours are the times that the form offers.
func hours() []int { return []int{1, 4, 12, 24, 72, 168, 720, 2160} }

func (h *Hub) adminMessages(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	h.showMessages(w, r, who, http.StatusOK, web.AdminMessages{})
	return nil
}

// showMessages fills in what the page always shows.
func (h *Hub) showMessages(w http.ResponseWriter, r *http.Request, who caller.Caller, status int, page web.AdminMessages) {
	page.Viewer, page.XSRF, page.Action, page.Hours, page.MaxText = viewer(who), who.XSRF(), pathMessages, hours(), announce.MaxText
	for _, m := range slices.Backward(h.Board.Shown()) {
		page.Messages = append(page.Messages, web.MessageLine{
			ID: m.ID, English: m.English, Chinese: m.Chinese, Warning: m.Level == announce.Warning, At: m.At, Until: m.Until, By: m.By,
			RemoveAction: pathMessages + "/remove",
		})
	}
	h.web.Page(w, r, status, page)
}

func (h *Hub) postMessage(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	m, err := readMessage(r, who)
	if err == nil {
		err = h.Board.Post(r.Context(), m)
	}
	for refusal, text := range map[error]string{
		announce.ErrText: "messages.bad_text", announce.ErrLevel: "messages.bad", announce.ErrUntil: "messages.bad", announce.ErrMany: "messages.many",
	} {
		if errors.Is(err, refusal) {
			h.showMessages(w, r, who, http.StatusBadRequest, web.AdminMessages{
				Error: text, English: shown(r.PostFormValue("en")), Chinese: shown(r.PostFormValue("zh")), Warning: r.PostFormValue("level") == string(announce.Warning),
			})
			return nil
		}
	}
	if err != nil {
		return err
	}
	telemetry.Audit(r.Context(), h.log, telemetry.MessagePosted, "message to everybody", "user", telemetry.UserText(who.Name),
		"id", m.ID, "until", m.Until, "text", telemetry.UserText(m.Text("en")))
	http.Redirect(w, r, pathMessages, http.StatusSeeOther)
	return nil
}

// shown cuts what was typed to what the field takes.
func shown(text string) string {
	all := []rune(text)
	return string(all[:min(len(all), announce.MaxText)])
}

func readMessage(r *http.Request, who caller.Caller) (announce.Message, error) {
	n, err := strconv.Atoi(r.PostFormValue("hours"))
	if err != nil || !slices.Contains(hours(), n) {
		return announce.Message{}, announce.ErrUntil
	}
	now := time.Now()
	return announce.New(rand.Text(), who.Name, r.PostFormValue("en"), r.PostFormValue("zh"), announce.Level(r.PostFormValue("level")),
		now.Add(time.Duration(n)*time.Hour), now)
}

func (h *Hub) removeMessage(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	id := r.PostFormValue("id")
	if err := h.Board.Remove(r.Context(), id); err != nil {
		return err
	}
	telemetry.Audit(r.Context(), h.log, telemetry.MessageRemoved, "message to everybody removed", "user", telemetry.UserText(who.Name), "id", telemetry.UserText(id))
	http.Redirect(w, r, pathMessages, http.StatusSeeOther)
	return nil
}

// withMessages adds what is said to everybody to the notices of a server, by time: JupyterLab shows
// those that are later than the last one it has shown.
func (h *Hub) withMessages(notices []apiNotice, language string) []apiNotice {
	for _, m := range h.Board.Shown() {
		notices = append(notices, apiNotice{ID: "message", Text: m.Text(h.web.Language(language)), Time: m.At})
	}
	slices.SortStableFunc(notices, func(a, b apiNotice) int { return a.Time.Compare(b.Time) })
	return notices
}
