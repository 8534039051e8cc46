package secure

import (
	"bytes"
	"crypto/ed25519"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata/vectors.txt anew")

// The file has the bytes of each credential for fixed keys, for writers of nodes in other languages.
func TestVectors(t *testing.T) {
	key := func(b byte) ed25519.PrivateKey {
		return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
	}
	first, second, node := key(1), key(2), key(3)
	ring := RingOf(KeyOf(first))
	since := time.UnixMilli(1_700_000_000_000)
	a := Admission{Ring: ring, ID: 1000, Incarnation: 1 << 60, Token: 7, Since: since, Until: since.Add(24 * time.Hour), Key: KeyOf(node)}
	s := Succession{Ring: ring, Old: KeyOf(first), New: KeyOf(second), Since: since}
	gone := Gone{Ring: ring, ID: 1000, Incarnation: 1 << 60, Epoch: 42}
	line := JoinLine{Addr: "example.org:12345", Pin: KeyOf(first).Pin(), Secret: Secret(bytes.Repeat([]byte{4}, 16))}
	exporter := bytes.Repeat([]byte{5}, 32)

	var b strings.Builder
	b.WriteString("Test vectors of PROTOCOL.md, section 16. A test makes this file.\n")
	add := func(name string, value any) { fmt.Fprintf(&b, "\n%s\n  %v\n", name, value) }
	hex := func(name string, value []byte) {
		fmt.Fprintf(&b, "\n%s (%d bytes)\n", name, len(value))
		for len(value) > 0 {
			n := min(32, len(value))
			fmt.Fprintf(&b, "  %x\n", value[:n])
			value = value[n:]
		}
	}
	public := func(k ed25519.PrivateKey) []byte { p := KeyOf(k); return p[:] }
	hex("ring key: seed 32 times 01, public", public(first))
	hex("its successor: seed 32 times 02, public", public(second))
	hex("node key: seed 32 times 03, public", public(node))
	add("ring number", fmt.Sprintf("%016x = %d", ring, ring))
	pin := KeyOf(first).Pin()
	hex("pin", pin[:])
	add("join line: secret 16 times 04", line.Text())
	hex("admission: node 1000, incarnation 2^60, token 7, flags 0, since 1700000000000, until 1700086400000", a.Sign(first))
	add("the same as text", Text(a.Sign(first)))
	hex("gone, what is signed: node 1000, incarnation 2^60, epoch 42", gone.bytes())
	hex("gone, the signature", gone.Sign(first))
	hex("succession: since 1700000000000", s.Sign(first))
	hex("join proof: exporter 32 times 05, and the node key above", joinMAC(line.Secret, exporter, KeyOf(node)))
	const file = "testdata/vectors.txt"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil || string(have) != b.String() {
		t.Errorf("the vectors have changed (%v): go test ./internal/secure -run Vectors -update", err)
	}
}
