package podlog

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// TestS14_SecretsAreMasked: each line has a secret that is not to be seen, and words that are.
func TestS14_SecretsAreMasked(t *testing.T) {
	const secret = "c0ffee0ddba11c0ffee0ddba11c0ffee"
	for line, keeps := range map[string]string{
		"    http://127.0.0.1:8888/user/alice/lab?token=" + secret:                             "http://127.0.0.1:8888/user/alice/lab?token=",
		"[I 2026-11-26] 302 GET /user/alice/?next=%2Flab%3Ftoken%3D" + secret + "&x=1 (alice)": "&x=1 (alice)",
		"GET /x?_xsrf=" + secret + "&reset=1":                                                  "&reset=1",
		`{"Host": "h", "Cookie": "perijove-pass=` + secret + `; a=b", "Accept": "x"}`:          `{"Host": "h"`,
		"Set-Cookie: a=" + secret + "; Path=/":                                                 "Set-Cookie:",
		"Authorization: token " + secret:                                                       "Authorization:",
		"curl -H 'authorization: Bearer " + secret + "'":                                       "curl -H",
		"sent Bearer " + secret + " to the hub":                                                "to the hub",
		"jwt eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ" + secret + ".sig" + secret + " ok":              "ok",
		"hub_" + secret + " is your token":                                                     "is your token",
		"git clone https://alice:" + secret + "@example.org/x.git":                             "@example.org/x.git",
		"AWS_SECRET_ACCESS_KEY=" + secret + " PATH=/bin":                                       "PATH=/bin",
		`  File "x.py", line 3, in <module>: login(password="` + secret + `", user="alice")`:   `user="alice"`,
		`{"api_key": "` + secret + `", "model": "m"}`:                                          `"model": "m"`,
		"db_password: " + secret:                                                               "db_password:",
		"-----BEGIN EC PRIVATE KEY-----\n" + secret + "\n-----END EC PRIVATE KEY-----\nnext":   "next",
		secret + "\n-----END PRIVATE KEY-----\nnext":                                           "next",
		"-----BEGIN PRIVATE KEY-----\n" + secret:                                               "",
		"session_id = '" + secret + "'":                                                        "session_id",
		"\x1b[31mtok\x1b[0men=" + secret + " coloured":                                         "coloured",
		"token\u200b=" + secret + " with a format character inside":                            "with a format",
		"ghp_" + secret + "0000 pushed":                                                        "pushed",
	} {
		got := Text([]byte(line))
		if strings.Contains(got, secret) || !strings.Contains(got, keeps) {
			t.Errorf("%q is shown as %q", line, got)
		}
	}
}

// TestTheRestIsKept is the negative control: what helps to find a fault stays.
func TestTheRestIsKept(t *testing.T) {
	for _, line := range []string{
		"Traceback (most recent call last):\n  File \"/opt/app.py\", line 3, in <module>\n    import nosuch\nModuleNotFoundError: No module named 'nosuch'",
		"[I 2026-11-26 08:00:00.000 ServerApp] Jupyter Server 2.17.0 is running at: http://localhost:8888/user/alice/lab",
		"SyntaxError: unexpected token: '('",
		"Skipped saving the session: no kernel", "KeyError: 'password'", "200 GET /user/alice/api/sessions (alice@10.0.0.1) 1.2ms",
		"tabs\tand 中文 and ünïcode",
	} {
		if got := Text([]byte(line)); got != line {
			t.Errorf("%q is shown as %q", line, got)
		}
	}
}

func TestTerminalsTextIsPlain(t *testing.T) {
	for raw, want := range map[string]string{
		"\x1b[1;32mgreen\x1b[0m\r\nnext":     "green\nnext",
		"10%\r50%\r100%\ndone":               "100%\ndone",
		"\x1b]0;title\x07text":               "text",
		"a\x00b\x07c\xff":                    "abc�",
		"left \u202eright":                   "left right",
		"end\n\n  ":                          "end",
		"ends in a carriage return\rnow\r\n": "now",
	} {
		if got := Text([]byte(raw)); got != want {
			t.Errorf("%q is shown as %q, want %q", raw, got, want)
		}
	}
}

func TestTail(t *testing.T) {
	line := strings.Repeat("x", 99) + "\n"
	long := strings.Repeat(line, 10*MaxBytes/len(line)) + "the end"
	for name, r := range map[string]io.Reader{"at once": strings.NewReader(long), "byte by byte": iotest.OneByteReader(strings.NewReader(long))} {
		got, err := Tail(r)
		if err != nil || len(got) > MaxBytes || len(got) < MaxBytes-len(line) || !bytes.HasSuffix(got, []byte("\nthe end")) || !bytes.HasPrefix(got, []byte(line)) {
			t.Errorf("%s: %v, %d bytes", name, err, len(got))
		}
	}
	if got, err := Tail(strings.NewReader("short\n")); err != nil || string(got) != "short\n" {
		t.Errorf("a short log: %q, %v", got, err)
	}
	if got, err := Tail(strings.NewReader("token=" + strings.Repeat("s", 3*MaxBytes))); err != nil || len(got) != 0 {
		t.Errorf("one line without an end: %d bytes, %v", len(got), err)
	}
	broken := errors.New("cut")
	if _, err := Tail(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a log that cannot be read: %v", err)
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"?token=abcdefgh", "\x1b[31m", "a\rb", "-----BEGIN PRIVATE KEY-----", "eyJhbGciOiJFUzI1NiJ9.x.y", "\xff\xfe"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, log []byte) {
		got := Text(log)
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\x1b\x00\r\u202e") {
			t.Errorf("%q is shown as %q", log, got)
		}
		const secret = "c0ffee0ddba11"
		if planted := Text(append(log, []byte("\nGET /lab?token="+secret+" HTTP/1.1")...)); strings.Contains(planted, "?token="+secret) {
			t.Errorf("after %q the token is shown: %q", log, planted)
		}
	})
}
