package secure

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"
)

// keyFor returns a key that is always the same.
func keyFor(name string) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte((name + strings.Repeat(".", ed25519.SeedSize))[:ed25519.SeedSize]))
}

var at = time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)

func someAdmission(ring ed25519.PrivateKey) Admission {
	return Admission{
		Ring: RingOf(KeyOf(ring)), ID: 0xc6cd, Incarnation: 0x18ea4fe28b526556, Token: 1,
		Since: at, Until: at.Add(24 * time.Hour), Key: KeyOf(keyFor("node")),
	}
}

func TestAdmissionLayout(t *testing.T) {
	ring := keyFor("ring")
	a := someAdmission(ring)
	b := a.Sign(ring)
	want := "72696e676468742061646d697373696f6e2031" + hex.EncodeToString(b[19:27]) + "000000000000c6cd" + "18ea4fe28b526556" +
		"00000001" + "0000" + "0000019b7ca98c8e" + "0000019b81cfe88e" + hex.EncodeToString(a.Key[:])
	if got := hex.EncodeToString(b[:97]); got != want || len(b) != AdmissionSize {
		t.Errorf("%d bytes\n%s, want\n%s", len(b), got, want)
	}
	got, err := ParseAdmission(b)
	if err != nil || !got.Since.Equal(a.Since) || !got.Until.Equal(a.Until) || got.ID != a.ID || got.Incarnation != a.Incarnation || got.Key != a.Key || got.Token != a.Token || got.Ring != a.Ring {
		t.Errorf("%+v, %v", got, err)
	}
}

// Every bit of an admission counts.
func TestAdmissionsCannotBeChanged(t *testing.T) {
	ring := keyFor("ring")
	trust := &Trust{Ring: RingOf(KeyOf(ring)), Keys: []Key{KeyOf(ring)}}
	b := someAdmission(ring).Sign(ring)
	if _, err := trust.Admission(b, at); err != nil {
		t.Fatal(err)
	}
	for i := range 8 * len(b) {
		forged := bytes.Clone(b)
		forged[i/8] ^= 1 << (i % 8)
		if _, err := trust.Admission(forged, at); !errors.Is(err, ErrNotAdmitted) {
			t.Fatalf("bit %d changed: %v", i, err)
		}
	}
	for n := range len(b) {
		if _, err := trust.Admission(b[:n], at); !errors.Is(err, ErrNotAdmitted) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}

func TestWhatIsBelieved(t *testing.T) {
	ring, other := keyFor("ring"), keyFor("other")
	a := someAdmission(ring)
	for name, c := range map[string]struct {
		change func(*Trust, *Admission)
		key    ed25519.PrivateKey
		now    time.Time
		want   error
	}{
		"valid":           {key: ring, now: at},
		"last moment":     {key: ring, now: a.Until.Add(-time.Millisecond)},
		"expired":         {key: ring, now: a.Until, want: ErrExpired},
		"time not asked":  {key: ring},
		"another's key":   {key: other, now: at, want: ErrNotAdmitted},
		"another ring":    {key: ring, now: at, want: ErrNotAdmitted, change: func(_ *Trust, a *Admission) { a.Ring++ }},
		"expelled":        {key: ring, now: at, want: ErrRevoked, change: func(t *Trust, a *Admission) { t.Revoked = map[Key]struct{}{a.Key: {}} }},
		"the ring's next": {key: other, now: at, change: func(t *Trust, _ *Admission) { t.Keys = append(t.Keys, KeyOf(other)) }},
	} {
		trust, a := &Trust{Ring: RingOf(KeyOf(ring)), Keys: []Key{KeyOf(ring)}}, a
		if c.change != nil {
			c.change(trust, &a)
		}
		if _, err := trust.Admission(a.Sign(c.key), c.now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestSuccession(t *testing.T) {
	first, second, thief := keyFor("ring"), keyFor("second"), keyFor("thief")
	id := RingOf(KeyOf(first))
	s := Succession{Ring: id, Old: KeyOf(first), New: KeyOf(second), Since: at}.Sign(first)
	forged := Succession{Ring: id, Old: KeyOf(first), New: KeyOf(thief), Since: at}.Sign(thief)
	pin := KeyOf(first).Pin()
	for name, trust := range map[string]*Trust{
		"a member":      {Ring: id, Keys: []Key{KeyOf(first)}},
		"an old pin":    {Pin: &pin},
		"knows it":      {Ring: id, Keys: []Key{KeyOf(first), KeyOf(second)}},
		"knows it only": {Ring: id, Keys: []Key{KeyOf(second)}},
	} {
		next, err := trust.Registry(KeyOf(second), s)
		if err != nil || next.Keys[len(next.Keys)-1] != KeyOf(second) {
			t.Errorf("%s: %v", name, err)
		}
		for _, b := range [][]byte{nil, s, forged, s[1:]} {
			if _, err := trust.Registry(KeyOf(thief), b); !errors.Is(err, ErrNotRegistry) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestGone(t *testing.T) {
	ring := keyFor("ring")
	trust := &Trust{Ring: RingOf(KeyOf(ring)), Keys: []Key{KeyOf(ring)}}
	g := Gone{Ring: trust.Ring, ID: 7, Incarnation: 8, Epoch: 9}
	signature := g.Sign(ring)
	if !trust.Gone(g, signature) {
		t.Error("the ring's word is not believed")
	}
	for _, wrong := range []Gone{{ID: 6, Incarnation: 8, Epoch: 9}, {ID: 7, Incarnation: 9, Epoch: 9}, {ID: 7, Incarnation: 8, Epoch: 8}} {
		if trust.Gone(wrong, signature) {
			t.Errorf("%+v is believed", wrong)
		}
	}
	if trust.Gone(g, nil) || trust.Gone(g, signature[1:]) {
		t.Error("a signature cut short is believed")
	}
}

func TestJoinLine(t *testing.T) {
	line := JoinLine{Addr: "[fe80::1%eth0]:12345", Pin: KeyOf(keyFor("ring")).Pin(), Secret: Secret([]byte("sixteen bytes ok"))}
	text := line.Text()
	got, err := ParseJoinLine(text)
	if err != nil || got != line {
		t.Fatalf("%s: %+v, %v", text, got, err)
	}
	if got, err = ParseJoinLine(strings.ToUpper(text)); err != nil || got.Pin != line.Pin {
		t.Errorf("in capitals: %v", err)
	}
	if strings.Contains(line.String(), text[len(text)-29:]) {
		t.Errorf("%v has the secret", line)
	}
	credentials := strings.Index(text, "/") + 1
	for i := credentials; i < len(text); i++ { // each letter that is another one is noticed
		c := byte('a')
		if text[i] == 'a' {
			c = 'b'
		}
		wrong := text[:i] + string(c) + text[i+1:]
		if got, err := ParseJoinLine(wrong); err == nil && (got.Pin != line.Pin || got.Secret != line.Secret) {
			t.Errorf("%s is read as a line", wrong)
		}
	}
	for _, wrong := range []string{"", "rdht1:", "localhost:1", "rdht2:localhost:1/" + text[credentials:], "rdht1:localhost/" + text[credentials:], text[:len(text)-1], text + "a", strings.Repeat("x", 600)} {
		if _, err := ParseJoinLine(wrong); err == nil || len(wrong) > 60 && strings.Contains(err.Error(), wrong[40:60]) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	for text, want := range map[string]bool{"rdht1:h:1/x-y": true, "RDHT2:h:1/x": true, "localhost:12345": false, "rdht1:h:1": false, "rdht": false} {
		if IsJoinLine(text) != want {
			t.Errorf("%s is a join line: %v", text, !want)
		}
	}
}

// A join line with a slip at its beginning is not shown, since its secret may be whole.
func TestDamagedJoinLineIsNotShown(t *testing.T) {
	line := JoinLine{Addr: "[::1]:12345", Secret: Secret{7: 1}}.Text()
	_, secret, _ := strings.Cut(line, "-")
	for _, text := range []string{line, line[1:], line[len("rdht"):], line[len("rdht1:"):], "rdht" + line, "x" + line[1:len(line)-3]} {
		if shown := Shown(text); strings.Contains(shown, secret[:8]) || !MayBeJoinLine(text) {
			t.Errorf("%s is shown as %s", text, shown)
		}
	}
	for _, addr := range []string{"localhost:12345", "registry.example:1", "far:1", "/run/ringdht/registry.sock", "/run/ring-dht/a-socket"} {
		if Shown(addr) != addr {
			t.Errorf("%s is shown as %s", addr, Shown(addr))
		}
	}
}
