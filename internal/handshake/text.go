package handshake

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ReasonOf returns an error's text without what differs each time, such as ports. Two errors with
// the same reason are of the same kind.
func ReasonOf(err error) string {
	if err == nil {
		return ""
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return Truncate(op.Op + ": " + op.Err.Error())
	}
	return Truncate(err.Error())
}

// Truncate cuts a node's text to 500 bytes: the registry may have to keep thousands of such texts.
func Truncate(text string) string {
	const most = 500
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + " …"
}

// JoinFew joins the first three of a list, and says how many more there are.
func JoinFew(all []string) string {
	const few = 3
	if len(all) <= few {
		return strings.Join(all, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(all[:few], "; "), len(all)-few)
}

// Printable returns a text that another process made. If anything in it is not printable, such as
// what moves a terminal's cursor, it is quoted.
func Printable(text string) string {
	for _, r := range text {
		if !strconv.IsPrint(r) || r == utf8.RuneError {
			return strconv.Quote(text)
		}
	}
	return text
}
