package main

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/x/ringdht/internal/codec"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/wire"
)

var update = flag.Bool("update", false, "write testdata/conversation.txt anew")

const captureFile = "testdata/conversation.txt"

// The file of PROTOCOL.md's section 15 has the bytes that this code sends.
func TestCapture(t *testing.T) {
	c := new(capture)
	c.conversation()
	c.frames()
	c.messages(t)
	if *update {
		if err := os.WriteFile(captureFile, []byte(c.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(captureFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != c.String() {
		t.Errorf("the bytes have changed: go test ./internal/conformance -run Capture -update, then look at the difference")
	}
	// Every type that PROTOCOL.md lists is in the file.
	text, err := os.ReadFile("../../PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range regexp.MustCompile(`(?m)^\| (0x[0-9A-Fa-f]{2}|\d+) \| ([A-Z][A-Za-z]+) \| [^|\n]+\|[^|\n]+\|[^|\n]+\|`).FindAllStringSubmatch(string(text), -1) {
		if !regexp.MustCompile("\n" + row[2] + "[ \n]").Match(have) {
			t.Errorf("the file has no example of %s %s", row[1], row[2])
		}
	}
}

// capture is the text of the file.
type capture struct{ strings.Builder }

func (c *capture) title(text string) { fmt.Fprintf(c, "\n\n=== %s\n", text) }

// add adds bytes, with what they are.
func (c *capture) add(what string, b []byte, notes ...string) {
	fmt.Fprintf(c, "\n%s\n", what)
	for _, n := range notes {
		fmt.Fprintf(c, "  %s\n", n)
	}
	for line := range strings.Lines(hex.Dump(b)) {
		fmt.Fprintf(c, "  %s\n", strings.TrimRight(line[4:], "\n"))
	}
}

// frame adds a frame between nodes.
func (c *capture) frame(who string, f wire.Frame, body string) {
	note := fmt.Sprintf("type %d, length %d, hops %d, port %d, flags %d, dst %d, src %d, seq %d", f.Type(), len(f)-wire.PrefixSize, f.Hops(), f.Port(), f[7], f.Dst(), f.Src(), f.Seq())
	if body != "" {
		note += "; " + body
	}
	c.add(strings.TrimSpace(name(f.Type())+" "+who), f, note)
}

// name returns the name of a type as PROTOCOL.md writes it.
func name(t wire.Type) string {
	var b strings.Builder
	for part := range strings.SplitSeq(t.String(), "-") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

// message adds a control frame.
func (c *capture) message(who string, by control.Codec, t wire.Type, v any) {
	b, err := control.Encode(by, t, v)
	if err != nil {
		panic(err)
	}
	notes := []string{fmt.Sprintf("type 0x%02X, length %d", uint8(t), len(b)-wire.PrefixSize)}
	if _, ok := by.(codec.JSON); !ok {
		text, _ := json.Marshal(v)
		notes = append(notes, "the same in JSON: "+string(text))
	}
	c.add(strings.TrimSpace(reflect.TypeOf(v).Name()+" "+who), b, notes...)
}

func (c *capture) hello(who string, h wire.Hello) {
	h.Codec, h.RingName = "json", "ring"
	b, err := h.Append(nil)
	if err != nil {
		panic(err)
	}
	c.add("hello "+who, b, fmt.Sprintf("version 2, role %d (%v), %d bytes; from %d, %d; to %d, %d; token %#x; lowest version 2; codec, ring name", h.Role, h.Role, len(b)-8, h.From, h.FromIncarnation, h.To, h.ToIncarnation, h.Token))
}

func (c *capture) answer(who string, a wire.Answer) {
	c.add("answer "+who, a.Append(nil), fmt.Sprintf("version 2, status %d; token %d; %q", a.Status, a.Token, a.Reason))
}

// conversation is node 1000, which joins a ring of two and sends a message.
func (c *capture) conversation() {
	const inc, peerInc, token = 1 << 60, 1<<60 - 77, 0x0102030405060708
	peer := ring.Peer{ID: 2000, Incarnation: peerInc, Addr: "10.0.0.2:4000"}
	c.WriteString("The bytes of PROTOCOL.md, version 2: a conversation, then each type of frame. A test makes this file.\n")
	c.title("Node 1000 (N, 10.0.0.1:5000) joins a ring with node 2000 (A). R is the registry. Open ring, codec json")
	c.hello("N → R", wire.Hello{Role: wire.RoleMember})
	c.answer("R → N", wire.Answer{})
	c.message("N → R", codec.JSON{}, control.TypeRegister, control.Register{Addr: "10.0.0.1:5000", Traffic: true, Token: token})
	c.hello("R → N, a connection of its own: the probe", wire.Hello{Role: wire.RoleProbe, Token: 0x1112131415161718})
	c.answer("N → R", wire.Answer{Token: 0x44ba7646cbd346e6})
	c.message("R → N", codec.JSON{}, control.TypeRegistered, control.Registered{ID: 1000, Incarnation: inc, Members: 2, Bits: 16, MaxPayload: 65536, HopLimit: 65535, Lease: 3000, Identity: identity, Epoch: 4, Time: 1_700_000_000_000})
	c.message("N → R", codec.JSON{}, control.TypeBeat, control.Beat{Every: 1, Status: []control.Status{{}}})
	c.message("R → N", codec.JSON{}, control.TypeBeatAnswer, control.BeatAnswer{Every: 1})
	c.message("R → N", codec.JSON{}, control.TypeManifest, control.Manifest{Identity: identity, Epoch: 5, Incarnation: inc, Members: 2, Entries: []ring.Peer{peer}, Successors: []ring.Peer{peer}, Others: []uint64{2000}, Incs: []uint64{peerInc}})
	c.hello("N → A: a link", wire.Hello{Role: wire.RoleLink, From: 1000, FromIncarnation: inc, To: 2000, ToIncarnation: peerInc})
	c.answer("A → N", wire.Answer{})
	c.frame("A → N: A wants a link back, and may use this connection", bare(wire.Share, 0), "")
	c.frame("N → A", bare(wire.Shared, 0), "")
	c.message("N → R", codec.JSON{}, control.TypeLinked, control.Linked{Epoch: 5})
	c.message("R → N: both have sent Linked", codec.JSON{}, control.TypeReady, control.Ready{Epoch: 5})

	c.title("Node 1000 sends one message to node 2000, over the link, and ends the stream")
	const gen, first = 0x2dc040a2b8, 0x04b5d8e253dd46a8
	data := frame(wire.Data, 2000, 1000, first, "hello")
	opened := frame(wire.Opened, 1000, 2000, gen, string(wire.OpenedBody{SourceIncarnation: inc, SinkIncarnation: peerInc, First: first, Window: 65536}.Append(nil)))
	opened.SetBundle()
	c.frame("N → A", frame(wire.Open, 2000, 1000, gen, string(wire.OpenBody{Incarnation: inc}.Append(nil))), "source incarnation")
	c.frame("A → N: and A takes bundles", opened, "source incarnation, sink incarnation, first number, window 65536")
	c.frame("N → A", data, "the message")
	c.frame("N → A", frame(wire.Sync, 2000, 1000, first+1, string(wire.AppendRound(nil, 1))), "round 1")
	c.frame("A → N", frame(wire.Ack, 1000, 2000, first+1, string(wire.AckBody{Window: 65536, Round: 1}.Append(nil, nil))), "received 0, window 65536, round 1")
	c.frame("N → A", frame(wire.Close, 2000, 1000, first+1, ""), "")
	c.frame("A → N", frame(wire.Closed, 1000, 2000, first+1, ""), "")
}

// frames has those that the conversation does not show.
func (c *capture) frames() {
	c.title("The other frames between nodes")
	c.frame("refuses a stream: this sink remembers a later life", frame(wire.Refuse, 1000, 2000, 77, string(wire.RefuseBody{SourceIncarnation: 5, Reason: wire.RefuseOlder, Remembered: 9}.Append(nil))), "source incarnation 5, reason 3, remembered 9")
	c.frame("for a named service, which is number 1 of its source", on(1, frame(wire.Open, 2000, 1000, 78, string(wire.OpenBody{Incarnation: 5, Service: "jobs"}.Append(nil)))), "source incarnation, name")
	c.frame("refuses it: there is no such service", on(1, frame(wire.Refuse, 1000, 2000, 78, string(wire.RefuseBody{SourceIncarnation: 5, Reason: wire.RefuseService}.Append(nil)))), "source incarnation, reason 4")
	c.frame("with two ranges of held messages", frame(wire.Ack, 1000, 2000, 500, string(wire.AckBody{Received: 2, Window: 4096, Round: 3}.Append(nil, []wire.Range{{From: 1, N: 2}, {From: 5, N: 1}}))), "received 2 (500 and 501 are here, not handled), window 4096, round 3; held 503, 504 and 507")
	c.frame("with three messages, a bundle", joinedFrame(frame(wire.Data, 2000, 1000, 500, "ab"), frame(wire.Data, 2000, 1000, 501, ""), frame(wire.Data, 2000, 1000, 502, "c")), "count 3; length 2, ab (message 500); length 0 (501); length 1, c (502)")
	c.frame("", frame(wire.Reset, 1000, 2000, 500, ""), "")
	c.frame("", frame(wire.Cast, 2000, 1000, 0, "lost or not"), "the message")
	c.frame("for a named service", on(1, frame(wire.Cast, 2000, 1000, 0, string(wire.AppendNamed(nil, "jobs", []byte("lost or not"))))), "name, the message")
	c.frame("", frame(wire.Trace, 2000, 1000, 0x1234, ""), "")
	c.frame("", frame(wire.Traced, 1000, 2000, 0x1234, string(wire.TracedBody{Hops: 2, Last: true}.Append(nil))), "hops 2, last")
	c.frame("", frame(wire.NoRoute, 1000, 3000, 77, string(wire.NoRouteBody{Type: wire.Open, Reason: wire.NoSuchNode, Dst: 2500}.Append(nil))), "of an Open, reason 1, for node 2500")
	c.frame("", bare(wire.Ping, 0x55), "")
	c.frame("", bare(wire.Pong, 0x55), "")
	c.frame("", bare(wire.End, 0), "")
	c.frame("", frame(wire.Farewell, 1000, 2000, 500, ""), "")
	c.frame("", wire.Violation{Code: 21, Rule: "R21", Text: "a ping frame of 33 bytes"}.Append(nil), "rule R21, text")
	detour := wire.Frame(frame(wire.Data, 2000, 1000, 5, "by a detour"))
	detour.SetDetour(true)
	detour.SetHops(1)
	c.frame("on a detour, after one hop", detour, "the message")
	c.answer("to version 1", wire.Answer{Status: wire.BadVersion, Reason: wire.VersionAdvice()})
}

// messages has each control message in both codecs, with a value in each field.
func (c *capture) messages(t *testing.T) {
	all := []struct {
		t wire.Type
		v any
	}{
		{control.TypeRegister, control.Register{}}, {control.TypeRegistered, control.Registered{}}, {control.TypeRefused, control.Refused{}},
		{control.TypeDeregister, control.Deregister{}}, {control.TypeDeregistered, control.Deregistered{}}, {control.TypeManifest, control.Manifest{}},
		{control.TypeLinked, control.Linked{}}, {control.TypeReady, control.Ready{}}, {control.TypeBeat, control.Beat{}},
		{control.TypeBeatAnswer, control.BeatAnswer{}}, {control.TypeTask, control.Task{}}, {control.TypeFinished, control.Finished{}},
		{control.TypeCollect, control.Collect{}}, {control.TypeSummary, control.Summary{}}, {control.TypeExplain, control.Explain{}},
		{control.TypePairs, control.Pairs{}}, {control.TypeTrace, control.Trace{}}, {control.TypeTraced, control.Traced{}},
		{control.TypeBye, control.Bye{}}, {control.TypeUpdate, control.Update{}}, {control.TypeAnnounce, control.Announce{}},
		{control.TypeTrouble, control.Trouble{}}, {control.TypePing, control.Ping{}}, {control.TypeAdmission, control.Admission{}},
		{control.TypeTrust, control.Trust{}}, {control.TypeViolation, control.Violation{}}, {control.TypeStuck, control.Stuck{}},
		{control.TypeLookup, control.Lookup{}}, {control.TypeFound, control.Found{}}, {control.TypeHandlers, control.Handlers{}}, {control.TypeFollow, control.Follow{}},
		{control.TypeLeaving, control.Leaving{}}, {control.TypeUnlisted, control.Unlisted{}}, {control.TypeListed, control.Listed{}},
		{control.TypeNote, control.Note{}},
	}
	for _, by := range []interface {
		control.Codec
		Name() string
	}{codec.JSON{}, codec.Msgpack{}} {
		c.title("Each control message in " + by.Name() + ", with made-up values")
		for _, m := range all {
			v, n := reflect.New(reflect.TypeOf(m.v)).Elem(), 0
			fill(v, "", &n)
			c.message("", by, m.t, v.Interface())
			back := reflect.New(v.Type())
			b, _ := control.Encode(by, m.t, v.Interface())
			if err := by.Decode(b[wire.PrefixSize:], back.Interface()); err != nil || !reflect.DeepEqual(back.Elem().Interface(), v.Interface()) {
				t.Errorf("%v in %s comes back as %v, %v", v, by.Name(), back.Elem(), err)
			}
		}
	}
}

// fill gives each field another value.
func fill(v reflect.Value, key string, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Struct:
		for f, value := range v.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			fill(value, name, n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), key, n)
	case reflect.String:
		v.SetString(key)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8:
		v.SetUint(uint64(*n))
	case reflect.Uint64:
		v.SetUint(uint64(*n) << 32)
	default:
		panic(v.Type())
	}
}
