package ringtest_test

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/membership"
	"github.com/x/ringdht/internal/plane"
	"github.com/x/ringdht/internal/ring"
	"github.com/x/ringdht/internal/stream"
	"github.com/x/ringdht/internal/wire"
)

// protocolTable returns the rows of the table of PROTOCOL.md with this header line.
func protocolTable(t *testing.T, header string) (rows [][]string) {
	t.Helper()
	_, rest, ok := strings.Cut(protocolText(t), "\n"+header+"\n")
	if !ok {
		t.Fatalf("PROTOCOL.md has no table with the header %s", header)
	}
	for line := range strings.Lines(rest) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			break
		}
		if strings.HasPrefix(line, "|---") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

// byNumber returns a column of a table by the numbers in its first one.
func byNumber(t *testing.T, rows [][]string, column int) map[int]string {
	t.Helper()
	m := make(map[int]string)
	for _, row := range rows {
		n, err := strconv.Atoi(row[0])
		if err != nil {
			t.Fatalf("%q does not start with a number", row)
		}
		m[n] = row[column]
	}
	return m
}

// The routed frames have the numbers and names of the code, and the table has them all.
func TestProtocolListsTheFrames(t *testing.T) {
	names := byNumber(t, protocolTable(t, "| type | name | from → to | seq | body |"), 1)
	for n := range 64 {
		name := wire.Type(n).String()
		if strings.HasPrefix(name, "type(") {
			name = ""
		}
		if told := strings.ToLower(names[n]); told != strings.ReplaceAll(name, "-", "") {
			t.Errorf("frame type %d: PROTOCOL.md says %q, the code %q", n, told, name)
		}
	}
	from := byNumber(t, protocolTable(t, "| type | name | from → to | seq | body |"), 2)
	for n := range wire.Type(64) {
		stays := slices.Contains([]wire.Type{wire.Ping, wire.Pong, wire.Share, wire.Shared, wire.End, wire.Violated}, n) || 0x30 <= n && n < 0x40
		if told := strings.HasPrefix(from[int(n)], "see section"); n < 0x20 && told != stays {
			t.Errorf("PROTOCOL.md says of %v that it stays on its connection: %v", n, told)
		}
	}
}

// A status has the fields that are sent.
func TestProtocolShowsAStatus(t *testing.T) {
	var told, want []string
	for _, row := range protocolTable(t, "| field of `status` | content |") {
		told = append(told, row[0])
	}
	for f := range reflect.TypeFor[control.Status]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		want = append(want, fmt.Sprintf("`%s` %s", name, fieldKind(f.Type)))
	}
	if !slices.Equal(told, want) {
		t.Errorf("PROTOCOL.md has the fields %q, sent are %q", told, want)
	}
}

// The widths of a body's fields add up to what the code takes, and it takes nothing else.
func TestProtocolShowsTheBodies(t *testing.T) {
	bodies := byNumber(t, protocolTable(t, "| type | name | from → to | seq | body |"), 4)
	width := regexp.MustCompile(`\bu(8|16|32|64)\b`)
	for _, x := range []struct {
		t     wire.Type
		parse func([]byte) error
	}{
		{wire.Open, func(b []byte) error { _, err := wire.ParseOpen(0, b); return err }},
		{wire.Opened, func(b []byte) error { _, err := wire.ParseOpened(b); return err }},
		{wire.Refuse, func(b []byte) error { _, err := wire.ParseRefuse(b); return err }},
		{wire.Sync, func(b []byte) error { _, err := wire.ParseRound(b); return err }},
		{wire.Ack, func(b []byte) error { _, _, err := wire.ParseAck(b, nil); return err }},
		{wire.Traced, func(b []byte) error { _, err := wire.ParseTraced(b); return err }},
		{wire.NoRoute, func(b []byte) error { _, err := wire.ParseNoRoute(b); return err }},
	} {
		fixed, _, _ := strings.Cut(bodies[int(x.t)], ", then")
		size := 0
		for _, w := range width.FindAllStringSubmatch(fixed, -1) {
			bits, _ := strconv.Atoi(w[1])
			size += bits / 8
		}
		for n := range 64 {
			err := x.parse(make([]byte, n))
			if n == size && err != nil {
				t.Errorf("%v: PROTOCOL.md has %d bytes: %v", x.t, size, err)
			}
			if n != size && err == nil {
				t.Errorf("%v: a body of %d bytes is taken, PROTOCOL.md has %d", x.t, n, size)
			}
		}
	}
}

// The numbers that have a name in the code stand in the tables.
func TestProtocolHasTheCodesAndReasons(t *testing.T) {
	statuses := byNumber(t, protocolTable(t, "| status | name | sent when |"), 1)
	for s, want := range map[wire.Status]string{
		wire.OK: "OK", wire.BadVersion: "bad version", wire.WrongRing: "wrong ring", wire.WrongCodec: "wrong codec",
		wire.WrongIdentity: "wrong identity", wire.WrongRole: "wrong role",
		wire.NotAdmitted: "not admitted", wire.Expired: "expired", wire.Expelled: "expelled",
	} {
		if statuses[int(s)] != want {
			t.Errorf("status %d is %q in PROTOCOL.md", s, statuses[int(s)])
		}
	}
	reasons := protocolTable(t, "| reason | of Refuse | of NoRoute |")
	refuse, noRoute := byNumber(t, reasons, 1), byNumber(t, reasons, 2)
	if refuse[int(wire.RefuseStreams)] != "too many streams" || refuse[int(wire.RefuseLeaving)] != "it leaves" || refuse[int(wire.RefuseOlder)] != "an older incarnation" ||
		refuse[int(wire.RefuseService)] != "no such service" ||
		noRoute[int(wire.NoSuchNode)] != "no such node" || noRoute[int(wire.HopLimit)] != "hop limit" {
		t.Errorf("the reasons of PROTOCOL.md are %v and %v", refuse, noRoute)
	}
	codes := make(map[string]string)
	for _, row := range protocolTable(t, "| code of Refused | meaning | code | meaning |") {
		codes[row[0]], codes[row[2]] = row[1], row[3]
	}
	for c, want := range map[control.Code]string{
		control.CodeFull: "no free ID", control.CodeAddrTaken: "the address is registered", control.CodeHost: "the advertised host",
		control.CodeUnreachable: "no node", control.CodeNotMember: "not a member", control.CodeNotYours: "another node's ID",
		control.CodeProtocol: "a message that makes no sense", control.CodeEvicted: "this incarnation is over",
		control.CodeIDTaken: "the ID asked for", control.CodeWait: "not yet", control.CodeOtherRing: "the registry has another ring",
		control.CodeCredentials: "secure ring: no valid admission", control.CodeExpelled: "secure ring: the operator has expelled",
	} {
		if !strings.HasPrefix(codes[fmt.Sprint(c)], want) {
			t.Errorf("code %d is %q in PROTOCOL.md, want %q", c, codes[fmt.Sprint(c)], want)
		}
	}
	for role, want := range map[wire.Role]string{wire.RoleMember: "1 member", wire.RoleLink: "2 link", wire.RoleProbe: "3 probe"} {
		if !slices.ContainsFunc(protocolTable(t, "| role | dialled by | to | carries |"), func(row []string) bool { return row[0] == want }) {
			t.Errorf("PROTOCOL.md has no role %s, which is %v", want, role)
		}
	}
}

// The limits of PROTOCOL.md are those of the code.
func TestProtocolHasTheLimits(t *testing.T) {
	limits := make(map[string]string)
	for _, row := range protocolTable(t, "| limit | value |") {
		limits[row[0]] = row[1]
	}
	for name, want := range map[string]string{
		"handshake after its first 8 bytes":                grouped(wire.MaxHello) + " bytes",
		"control frame from the registry, prefix included": fmt.Sprintf("%d to %s bytes", wire.PrefixSize, grouped(wire.MaxLength+wire.PrefixSize)),
		"routed frame, prefix included":                    fmt.Sprintf("%d to %[1]d + max(`max_payload`, %d) bytes", wire.HeaderSize, plane.MaxFrame(0)-wire.HeaderSize),
		"greatest incarnation that makes sense":            fmt.Sprintf("%d × 2^61", uint64(control.MaxIncarnation)>>61),
		"`over` that a registry reads":                     grouped(control.MaxOver),
		"`every`":                                          grouped(membership.MaxPace),
		"entries of a table":                               grouped(ring.MaxTable),
		"`successors`":                                     grouped(ring.Successors),
		"`others`, `added`":                                grouped(control.MaxOthers),
		"distance of a number that makes sense":            grouped(stream.MaxWindow / 2),
		"window":                                           grouped(stream.MaxWindow) + " bytes",
		"ranges of an Ack":                                 grouped(wire.MaxRanges),
		"name of a service":                                fmt.Sprintf("%d bytes", wire.MaxService),
		"services of a node, with that of port 0":          grouped(wire.MaxServices),
	} {
		if limits[name] != want {
			t.Errorf("PROTOCOL.md: the limit %q is %q, in the code %q", name, limits[name], want)
		}
	}
	timers := make(map[string]string)
	for _, row := range protocolTable(t, "| timer | value |") {
		timers[row[0]] = row[1]
	}
	for name, want := range map[string]string{
		"RTO before the first sample": milliseconds(stream.InitialRTO),
		"RTO":                         fmt.Sprintf("srtt + 4 × rttvar as in RFC 6298, at least %s, at most %d s", milliseconds(stream.MinRTO), stream.MaxRTO/time.Second),
	} {
		if timers[name] != want {
			t.Errorf("PROTOCOL.md: the timer %q is %q, in the code %q", name, timers[name], want)
		}
	}
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

// grouped writes a number with commas.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
