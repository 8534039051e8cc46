package secure

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base32"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
)

// Secret is what a node must know to join.
type Secret [16]byte

// String hides the secret, which must not get into logs.
func (Secret) String() string { return "(secret)" }

// GoString hides the secret as well.
func (Secret) GoString() string { return "(secret)" }

// JoinLine is all that a node needs to join a ring: where the registry is, which key it must
// prove, and a secret that the ring admits by.
type JoinLine struct {
	Addr   string // "host:port"
	Pin    Pin
	Secret Secret
}

// joinScheme begins each join line. Its number is that of the format.
const joinScheme = "rdht1:"

// maxJoinLine bounds the length of a join line.
const maxJoinLine = 512

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding)

// Text returns the line: "rdht1:HOST:PORT/PIN-SECRET". Pin and secret are in base32, in lower
// case. Behind the secret are two bytes of checksum, for lines that were copied by hand. The
// checksum leaves out the address, which may be edited.
//
// It is not called String: a line has a secret, and must not get into logs by accident.
func (j JoinLine) Text() string {
	sum := j.checksum()
	secret := append(j.Secret[:], sum[:]...)
	return joinScheme + j.Addr + "/" + strings.ToLower(base32Text.EncodeToString(j.Pin[:])+"-"+base32Text.EncodeToString(secret))
}

// String returns the line without its secret.
func (j JoinLine) String() string { return joinScheme + j.Addr + "/…" }

func (j JoinLine) checksum() [2]byte {
	sum := sha256.Sum256(append(j.Pin[:], j.Secret[:]...))
	return [2]byte(sum[:2])
}

// IsJoinLine reports whether a text is meant as a join line, of this version or another.
func IsJoinLine(text string) bool {
	scheme, _, ok := strings.Cut(text, ":")
	number, is := strings.CutPrefix(strings.ToLower(scheme), "rdht")
	return ok && is && number != "" && strings.Trim(number, "0123456789") == "" && strings.Contains(text, "/")
}

// credentials finds pin and secret behind an address, also if a few letters are missing.
var credentials = regexp.MustCompile(`/[A-Za-z2-7]{16,}-[A-Za-z2-7]{16,}`)

// MayBeJoinLine reports whether a text has a join line in it, perhaps a damaged one, such as without
// its beginning. Such a text may have a secret, so it must not be logged, nor be taken for an address.
func MayBeJoinLine(text string) bool {
	return strings.Contains(text, "/") && strings.Contains(strings.ToLower(text), "rdht") || credentials.MatchString(text)
}

// Shown returns what may be shown of an address or join line: all but a join line's credentials.
func Shown(text string) string {
	if addr, _, _ := strings.Cut(text, "/"); MayBeJoinLine(text) {
		return addr + "/…"
	}
	return text
}

// ParseJoinLine reads a join line. Its errors say what is wrong with it, and do not repeat it.
func ParseJoinLine(text string) (j JoinLine, err error) {
	switch {
	case len(text) > maxJoinLine:
		return j, fmt.Errorf("a join line has at most %d bytes, this one has %d", maxJoinLine, len(text))
	case !IsJoinLine(text):
		return j, errors.New("a join line is rdht1:HOST:PORT/PIN-SECRET: copy the one that the registry prints, whole")
	case !strings.EqualFold(text[:len(joinScheme)], joinScheme):
		return j, fmt.Errorf("the join line is of another version than %q: use a program of the registry's version", strings.TrimSuffix(joinScheme, ":"))
	}
	addr, behind, _ := strings.Cut(text[len(joinScheme):], "/")
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return j, fmt.Errorf("the join line has the address %q, which is not host:port", addr)
	}
	j.Addr = addr
	pin, secret, ok := strings.Cut(behind, "-")
	p, pinErr := base32Text.DecodeString(strings.ToUpper(pin))
	s, secretErr := base32Text.DecodeString(strings.ToUpper(secret))
	if !ok || pinErr != nil || secretErr != nil || len(p) != len(j.Pin) || len(s) != len(j.Secret)+2 {
		return j, errors.New("the join line was cut short or changed: behind the address it has 26 letters and digits, a dash and 29 more: copy it again, whole")
	}
	j.Pin, j.Secret = Pin(p), Secret(s[:len(j.Secret)])
	if sum := j.checksum(); string(s[len(j.Secret):]) != string(sum[:]) {
		return j, errors.New("the join line has a wrong letter behind the address: copy it again, whole")
	}
	return j, nil
}

// exporterLabel makes the connection's keying material that JoinProof binds a secret to.
const exporterLabel = "EXPORTER-ringdht-join"

// JoinProof proves to the other end of a connection that this end knows a secret, and binds that
// to the node's key: HMAC-SHA256(secret, "ringdht join 1" | exporter | node key), where exporter
// is 32 bytes of TLS keying material (RFC 8446, section 7.5). A recorded proof is worth nothing on
// another connection, and the secret does not travel.
func JoinProof(secret Secret, cs *tls.ConnectionState, key Key) ([]byte, error) {
	material, err := cs.ExportKeyingMaterial(exporterLabel, nil, 32)
	if err != nil {
		return nil, err
	}
	return joinMAC(secret, material, key), nil
}

// ExpectedProof returns what a proof of any secret must be on a connection, to the end that did not
// make it.
func ExpectedProof(cs *tls.ConnectionState, key Key) (func(Secret) []byte, error) {
	material, err := cs.ExportKeyingMaterial(exporterLabel, nil, 32)
	return func(s Secret) []byte { return joinMAC(s, material, key) }, err
}

// joinMAC is JoinProof, given the keying material.
func joinMAC(secret Secret, material []byte, key Key) []byte {
	mac := hmac.New(sha256.New, secret[:])
	mac.Write([]byte("ringdht join 1"))
	mac.Write(material)
	mac.Write(key[:])
	return mac.Sum(nil)
}
