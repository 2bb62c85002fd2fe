package abuse

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Field is a header of HTTP/2, pseudo headers included, as it is written.
type Field struct{ Name, Value string }

// H2 is one connection that speaks HTTP/2 in plain text by prior knowledge (RFC 9113
// §3.3). It is for one goroutine.
type H2 struct {
	conn   net.Conn
	Framer *http2.Framer
	// Settings are what the server announced.
	Settings map[http2.SettingID]uint32

	block   bytes.Buffer
	encoder *hpack.Encoder
	next    uint32
}

// DialH2 opens a connection and exchanges settings. RFC 9113 §3.4.
func DialH2(addr string) (*H2, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	c := &H2{conn: conn, Framer: http2.NewFramer(conn, conn), Settings: map[http2.SettingID]uint32{}, next: 1}
	c.encoder = hpack.NewEncoder(&c.block)
	c.Framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.Framer.AllowIllegalWrites = true // attacks are illegal
	if err := c.greet(); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("begin HTTP/2 with %s: %w", addr, err)
	}
	return c, nil
}

func (c *H2) greet() error {
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c.conn, http2.ClientPreface); err != nil {
		return err
	}
	if err := c.Framer.WriteSettings(); err != nil {
		return err
	}
	for {
		frame, err := c.Framer.ReadFrame()
		if err != nil {
			return err
		}
		if settings, ok := frame.(*http2.SettingsFrame); ok && !settings.IsAck() {
			_ = settings.ForeachSetting(func(s http2.Setting) error { c.Settings[s.ID] = s.Val; return nil })
			return c.Framer.WriteSettingsAck()
		}
	}
}

// Close ends the connection.
func (c *H2) Close() { _ = c.conn.Close() }

// Encode returns the fields as HPACK writes them on this connection.
func (c *H2) Encode(fields []Field) []byte {
	c.block.Reset()
	for _, f := range fields {
		_ = c.encoder.WriteField(hpack.HeaderField{Name: f.Name, Value: f.Value}) // a buffer takes everything
	}
	return bytes.Clone(c.block.Bytes())
}

// Stream returns the number of a new stream.
func (c *H2) Stream() uint32 {
	c.next += 2
	return c.next - 2
}

// Send opens a stream with the fields, ends it after body unless the fields ask for an
// extended CONNECT (RFC 8441), and reads its answer. Of a stream that stays open the answer
// has no body. The error is as SendH1's.
func (c *H2) Send(fields []Field, body string) (Answer, error) {
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	id, open := c.Stream(), isConnect(fields)
	if err := c.writeHeaders(id, c.Encode(fields), body == "" && !open); err != nil {
		return Answer{}, nil // closed before
	}
	if body != "" {
		if err := c.Framer.WriteData(id, !open, []byte(body)); err != nil {
			return Answer{}, nil
		}
	}
	answer, err := c.read(id, open)
	if err != nil {
		return answer, fmt.Errorf("no answer to %v: %w", fields, err)
	}
	return answer, nil
}

func isConnect(fields []Field) bool {
	for _, f := range fields {
		if f.Name == ":method" && f.Value == http.MethodConnect {
			return true
		}
	}
	return false
}

// maxFrame is what every receiver takes in one frame (RFC 9113 §4.2).
const maxFrame = 16 << 10

func (c *H2) writeHeaders(id uint32, block []byte, end bool) error {
	first := block[:min(len(block), maxFrame)]
	rest := block[len(first):]
	err := c.Framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: end, EndHeaders: len(rest) == 0})
	for err == nil && len(rest) > 0 {
		part := rest[:min(len(rest), maxFrame)]
		rest = rest[len(part):]
		err = c.Framer.WriteContinuation(id, len(rest) == 0, part)
	}
	return err
}

// read waits for the answer of stream id. The server's closing of the stream or of the
// connection is an answer with code 0.
func (c *H2) read(id uint32, headersOnly bool) (Answer, error) {
	var a Answer
	var body strings.Builder
	for {
		frame, err := c.Framer.ReadFrame()
		if timedOut(err) {
			return a, err
		}
		if err != nil {
			return Answer{}, nil
		}
		switch frame := frame.(type) {
		case *http2.GoAwayFrame:
			if frame.ErrCode != http2.ErrCodeNo || frame.LastStreamID < id {
				return Answer{}, nil
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == id && a.Code == 0 {
				return Answer{}, nil
			}
			if frame.StreamID == id { // the whole answer, and no interest in the rest of the request
				a.Body = body.String()
				return a, nil
			}
		case *http2.MetaHeadersFrame:
			if frame.StreamID != id {
				continue
			}
			if a.Code == 0 {
				a = answerOf(frame)
			}
			if frame.StreamEnded() || headersOnly {
				return a, nil
			}
		case *http2.DataFrame:
			if n := uint32(len(frame.Data())); n > 0 {
				_ = c.Framer.WriteWindowUpdate(0, n) // for the next answers on this connection
			}
			if frame.StreamID != id {
				continue
			}
			body.Write(frame.Data())
			if frame.StreamEnded() {
				a.Body = body.String()
				return a, nil
			}
		}
	}
}

func answerOf(frame *http2.MetaHeadersFrame) Answer {
	a := Answer{Header: http.Header{}}
	for _, f := range frame.Fields {
		if f.Name == ":status" {
			a.Code, _ = strconv.Atoi(f.Value)
			continue
		}
		a.Header.Add(f.Name, f.Value)
	}
	return a
}

// SendH2 sends one request on a connection of its own.
func SendH2(addr string, fields []Field, body string) (Answer, error) {
	c, err := DialH2(addr)
	if err != nil {
		return Answer{}, err
	}
	defer c.Close()
	return c.Send(fields, body)
}
