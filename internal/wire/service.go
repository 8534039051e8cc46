package wire

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A service is a part of a node that receives messages of its own. It has a name. A stream belongs
// to a service, and all of its frames, those of its sink too, have its port:
//
//	0          the service with the empty name
//	1 to 127   a named one. The port is the source's own number of it; the Open says the name
//	128 to 255 messages of traffic runs. They travel on the stream of port 0
//
// Casts have no stream. One for a named service has the port [NamedCast], and its body begins with
// the name:
//
//	32 name uint8 length and bytes
//	   the message
const (
	// NamedCast is the port of a cast for a named service.
	NamedCast = 1
	// FirstRunPort is the lowest port of the messages of traffic runs.
	FirstRunPort = 128

	// MaxServices is how many services a node can have: one for each port of streams.
	MaxServices = FirstRunPort
	// MaxService is the length of the longest name of a service, in bytes.
	MaxService = 64
)

// StreamPort returns the port of the stream on which a message with this port travels.
func StreamPort(port uint8) uint8 {
	if port >= FirstRunPort {
		return 0
	}
	return port
}

// CheckService returns an error unless name is "" or the name of a service: at most [MaxService] bytes
// of UTF-8 that can be printed, and without a space at either end. Only the two nodes of a
// stream read a name, and a sink compares its bytes. So the rule is for people and for logs.
func CheckService(name string) error {
	switch {
	case len(name) > MaxService:
		return fmt.Errorf("the name of a service has at most %d bytes, %.80q… has %d", MaxService, name, len(name))
	case !utf8.ValidString(name):
		return fmt.Errorf("the name of a service is UTF-8, %q is not", name)
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }): // a registry would refuse the node
		return fmt.Errorf("the name of a service has no control characters, or others that cannot be printed: %q has one", name)
	case strings.HasPrefix(name, " ") || strings.HasSuffix(name, " "):
		return fmt.Errorf("the name of a service does not begin or end with a space, %q does", name)
	}
	return nil
}

// errNoName is for a cast without the name that its port promises.
var errNoName = errors.New("wire: a cast for a named service does not begin with a name")

// AppendNamed appends the body of a cast for a named service.
func AppendNamed(dst []byte, name string, message []byte) []byte {
	dst = append(append(dst, byte(len(name))), name...)
	return append(dst, message...)
}

// ParseNamed splits the body of a cast for a named service.
func ParseNamed(b []byte) (name, message []byte, err error) {
	if len(b) == 0 || b[0] == 0 || b[0] > MaxService || len(b) <= int(b[0]) {
		return nil, nil, errNoName
	}
	n := 1 + int(b[0])
	return b[1:n], b[n:], nil
}
