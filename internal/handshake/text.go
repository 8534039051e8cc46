package handshake

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// ReasonOf is an error's text without what differs each time, such as ports: by it one
// tells whether a reason has changed.
func ReasonOf(err error) string {
	if err == nil {
		return ""
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return Brief(op.Op + ": " + op.Err.Error())
	}
	return Brief(err.Error())
}

// Brief cuts what a node says to what is worth keeping of it: the registry may have to
// remember thousands of such texts.
func Brief(text string) string {
	const most = 500
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + " …"
}

// Some lists a few of many.
func Some(all []string) string {
	const few = 3
	if len(all) <= few {
		return strings.Join(all, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(all[:few], "; "), len(all)-few)
}
