package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

var someHello = Hello{
	Role: RoleLink, From: 0x11, FromIncarnation: 0x22, To: 0x33, ToIncarnation: 0x44, Token: 0x0102030405060708,
	Codec: "msgpack", RingName: "r",
}

const someHelloBytes = "52444854 02 02 0033 0000000000000011 0000000000000022 0000000000000033 0000000000000044 0102030405060708 02" +
	"07 6d73677061636b 01 72"

func mustHello(t testing.TB, h Hello) []byte {
	t.Helper()
	b, err := h.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHelloLayout(t *testing.T) {
	wantBytes(t, mustHello(t, someHello), someHelloBytes)
	wantBytes(t, mustHello(t, Hello{}), "52444854 02 00 002b"+strings.Repeat("00", 40)+"02 0000")
}

func TestAnswerLayout(t *testing.T) {
	wantBytes(t, Answer{Status: WrongRing, Token: 0x0102030405060708, Reason: "no"}.Append([]byte{0xee}), "ee 52444854 02 02 000a 0102030405060708 6e6f")
	wantBytes(t, Answer{}.Append(nil), "52444854 02 00 0008 0000000000000000")
	for want, have := range []Status{OK, BadVersion, WrongRing, WrongCodec, WrongIdentity, WrongRole, Status(6)} {
		if int(have) != want {
			t.Errorf("status %d is %d", want, have)
		}
	}
}

func TestHelloRoundTrip(t *testing.T) {
	long := strings.Repeat("x", 255)
	for _, h := range []Hello{{}, someHello, {Codec: long, RingName: long}, {RingName: "ü"}} {
		for _, through := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
			got, err := ReadHello(through(bytes.NewReader(mustHello(t, h))))
			if err != nil || got != h {
				t.Errorf("%+v, %v; want %+v", got, err, h)
			}
		}
	}
}

func TestHelloNamesTooLong(t *testing.T) {
	long := strings.Repeat("x", 256)
	for _, h := range []Hello{{Codec: long}, {RingName: long}} {
		if b, err := h.Append([]byte("before")); err == nil || string(b) != "before" {
			t.Errorf("%q, %v", b, err)
		}
	}
}

func TestAnswerReasonIsCut(t *testing.T) {
	const room = MaxHello - 8
	for _, x := range []struct {
		name, reason, want string
	}{
		{"fits", strings.Repeat("x", room), strings.Repeat("x", room)},
		{"a byte too long", strings.Repeat("x", room+1), strings.Repeat("x", room)},
		{"between characters", strings.Repeat("x", room-2) + "€", strings.Repeat("x", room-2)},
		{"a character that just fits", strings.Repeat("x", room-3) + "€€", strings.Repeat("x", room-3) + "€"},
		{"four bytes", strings.Repeat("x", room-3) + "🙂", strings.Repeat("x", room-3)},
		{"not text", strings.Repeat("\x80", room+9), strings.Repeat("\x80", room-3)},
	} {
		got, err := ReadAnswer(bytes.NewReader(Answer{Status: Status(6), Token: 7, Reason: x.reason}.Append(nil)))
		if err != nil || got != (Answer{Status: Status(6), Token: 7, Reason: x.want}) {
			t.Errorf("%s: %d bytes, ending in %q, %v", x.name, len(got.Reason), got.Reason[max(0, len(got.Reason)-5):], err)
		}
		if utf8.ValidString(x.reason) && !utf8.ValidString(got.Reason) {
			t.Errorf("%s: no longer text", x.name)
		}
	}
}

func TestHandshakeErrors(t *testing.T) {
	good := mustHello(t, someHello)
	edit := func(at int, v ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], v)
		return b
	}
	for _, x := range []struct {
		name string
		b    []byte
		err  error
		role Role // readable where an answer can be sent
	}{
		{"nothing", nil, io.EOF, 0},
		{"cut in the head", good[:7], io.ErrUnexpectedEOF, 0},
		{"cut after the head", good[:8], io.ErrUnexpectedEOF, RoleLink},
		{"cut by a byte", good[:len(good)-1], io.ErrUnexpectedEOF, RoleLink},
		{"text", []byte("GET / HTTP/1.1\r\n\r\n"), ErrNotRing, 0},
		{"other magic", edit(3, 'U'), ErrNotRing, 0},
		{"version 1", edit(4, 1), ErrVersion, RoleLink},
		{"version 0", edit(4, 0), ErrVersion, RoleLink},
		{"version 1, another layout", append(edit(4, 1, byte(RoleProbe), 0, 3)[:8], 1, 2, 3), ErrVersion, RoleProbe},
		{"version 3, other limits", edit(4, 3, byte(RoleProbe), 0xff, 0xff), ErrVersion, RoleProbe},
		{"version 3, without ours", append(append(edit(4, 3)[:48], 3), good[49:]...), ErrVersion, RoleLink},
		{"too long", edit(6, 0x04, 0x01), ErrNotRing, RoleLink},
		{"too short", append(append(edit(6, 0, 42)[:8], make([]byte, 40)...), 2, 0), ErrNotRing, RoleLink},
		{"empty", edit(6, 0, 0), ErrNotRing, RoleLink},
		{"codec name over the end", edit(49, 9), ErrNotRing, RoleLink},
		{"codec name up to the end", edit(49, 8), ErrNotRing, RoleLink},
		{"ring name over the end", edit(57, 2), ErrNotRing, RoleLink},
	} {
		t.Run(x.name, func(t *testing.T) {
			h, err := ReadHello(bytes.NewReader(x.b))
			if !errors.Is(err, x.err) || h.Role != x.role {
				t.Errorf("role %v, %v; want %v, %v", h.Role, err, x.role, x.err)
			}
		})
	}
	if a, err := ReadAnswer(bytes.NewReader([]byte("RDHT\x02\x06\x00\x07\x00\x00\x00\x00\x00\x00\x00"))); !errors.Is(err, ErrNotRing) || a.Status != 6 {
		t.Errorf("an answer of 7 bytes: %v, %v", a, err)
	}
	if a, err := ReadAnswer(bytes.NewReader([]byte("RDHT\x01\x01\x00\x00"))); !errors.Is(err, ErrVersion) || a.Status != BadVersion {
		t.Errorf("an answer of version 1: %v, %v", a, err)
	}
}

// Both sides say in one line which versions there are, and what to do.
func TestVersionErrorNamesBoth(t *testing.T) {
	b := mustHello(t, someHello)
	b[4], b[8+offLowest] = 9, 7
	_, err := ReadHello(bytes.NewReader(b))
	if err == nil || !strings.Contains(err.Error(), "speaks versions 7 to 9, this side speaks version 2: use programs with") {
		t.Error(err)
	}
	_, err = ReadAnswer(strings.NewReader("RDHT\x01\x01\x00\x09old")) // version 1 refuses
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	_, err = ReadAnswer(strings.NewReader("RDHT\x01\x01\x00\x0212"))
	if err == nil || !strings.Contains(err.Error(), "speaks version 1, this side speaks version 2: use programs with") {
		t.Error(err)
	}
}

// A later version that still speaks this one is welcome, and may say more behind the ring name.
func TestLaterVersionsSpeakThisOne(t *testing.T) {
	b := append(mustHello(t, someHello), "more"...)
	b[4], b[7] = 3, b[7]+4
	if h, err := ReadHello(bytes.NewReader(b)); err != nil || h != someHello {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestVersionsAreChosen(t *testing.T) {
	for _, c := range []struct {
		theirLow, theirHigh, ourLow, ourHigh, want uint8
		ok                                         bool
	}{
		{2, 2, 2, 2, 2, true},
		{2, 3, 2, 2, 2, true},  // version 3 dials version 2
		{2, 2, 2, 3, 2, true},  // and the other way round
		{2, 3, 2, 4, 3, true},  // the highest that both speak
		{3, 3, 2, 2, 2, false}, // version 2 was given up
		{2, 2, 3, 4, 2, false},
		{0, 1, 2, 2, 1, false}, // version 1 says no lowest
		{0, 2, 2, 2, 2, true},
		{9, 2, 2, 2, 2, true}, // makes no sense
	} {
		if got, ok := choose(c.theirLow, c.theirHigh, c.ourLow, c.ourHigh); got != c.want || ok != c.ok {
			t.Errorf("%+v: %d %v", c, got, ok)
		}
	}
}

func TestReadErrorsPassThrough(t *testing.T) {
	broken := errors.New("broken")
	for _, n := range []int64{0, 5, 8, 20} {
		r := io.MultiReader(io.LimitReader(bytes.NewReader(mustHello(t, someHello)), n), iotest.ErrReader(broken))
		if _, err := ReadHello(r); !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

// A meter counts the bytes read, and remembers the largest buffer read into.
type meter struct {
	r          io.Reader
	read, room int
}

func (m *meter) Read(p []byte) (int, error) {
	m.room = max(m.room, len(p))
	n, err := m.r.Read(p)
	m.read += n
	return n, err
}

// wantMeter checks that a handshake in b was read to its last byte and no further, with bounded buffers.
func wantMeter(t *testing.T, m *meter, b []byte) {
	t.Helper()
	want := min(len(b), 8)
	if want == 8 && string(b[:4]) == "RDHT" {
		if n := int(binary.BigEndian.Uint16(b[6:])); n <= MaxHello {
			want = min(len(b), 8+n)
		}
	}
	if m.read != want {
		t.Fatalf("read %d bytes of %d, want %d", m.read, len(b), want)
	}
	if m.room > MaxHello {
		t.Fatalf("made room for %d bytes", m.room)
	}
}

func TestHandshakeReadsNoFurther(t *testing.T) {
	b := append(mustHello(t, someHello), "and a frame"...)
	m := &meter{r: bytes.NewReader(b)}
	if _, err := ReadHello(m); err != nil {
		t.Fatal(err)
	}
	wantMeter(t, m, b)

	b = append(Answer{Reason: "no"}.Append(nil), "and a frame"...)
	m = &meter{r: bytes.NewReader(b)}
	if _, err := ReadAnswer(m); err != nil {
		t.Fatal(err)
	}
	wantMeter(t, m, b)
}

func FuzzHello(f *testing.F) {
	f.Add([]byte("RDHT"))
	f.Add(mustHello(f, Hello{}))
	f.Add(append(mustHello(f, someHello), 1, 2, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &meter{r: bytes.NewReader(b)}
		h, err := ReadHello(m)
		wantMeter(t, m, b)
		if slow, err2 := ReadHello(iotest.OneByteReader(bytes.NewReader(b))); slow != h || (err == nil) != (err2 == nil) {
			t.Fatalf("byte by byte %+v, %v; at once %+v, %v", slow, err2, h, err)
		}
		if err != nil {
			return
		}
		again, err := h.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ReadHello(bytes.NewReader(again)); err != nil || back != h { // reserved bytes do not come back
			t.Fatalf("%x came back as %x, %v", b[:m.read], again, err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("RDHT"))
	f.Add(Answer{}.Append(nil))
	f.Add(append(Answer{Status: Status(6), Token: 7, Reason: "later"}.Append(nil), 1, 2, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &meter{r: bytes.NewReader(b)}
		a, err := ReadAnswer(m)
		wantMeter(t, m, b)
		if err == nil && !bytes.Equal(a.Append(nil)[5:], b[5:m.read]) {
			t.Fatalf("%x came back as %x", b[:m.read], a.Append(nil))
		}
	})
}
