package wire

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Rule is a numbered rule of PROTOCOL.md whose breach ends a connection. It is an error: the error
// that ends the connection wraps it and says what was received. The side that ends the connection
// tells the other the number, see [Violation].
type Rule uint8

// The rules, with the numbers of PROTOCOL.md. TestRules compares the two.
const (
	ErrType     Rule = 10
	ErrTooLong  Rule = 11
	ErrShort    Rule = 12
	ErrCut      Rule = 13
	ErrNotOpen  Rule = 20
	ErrNotBare  Rule = 21
	ErrPing     Rule = 22
	ErrPong     Rule = 23
	ErrShare    Rule = 24
	ErrShared   Rule = 25
	ErrBody     Rule = 30
	ErrWrongWay Rule = 31
	ErrOrder    Rule = 32
	ErrTerms    Rule = 33
	ErrTable    Rule = 34
)

// rules says each rule in a few words, as logs show it.
var rules = map[Rule]string{
	ErrType:     "the type of a frame is one that its connection carries",
	ErrTooLong:  "a frame is no longer than the limit",
	ErrShort:    "a frame between nodes has a whole header",
	ErrCut:      "a connection ends between two frames",
	ErrNotOpen:  "frames come only in a direction that is open, and none after End",
	ErrNotBare:  "a frame of the connection has only seq: no body, no sink, no source",
	ErrPing:     "one Ping at a time",
	ErrPong:     "a Pong answers a Ping, with its seq",
	ErrShare:    "only the accepting side sends Share, once, while its direction is unused",
	ErrShared:   "Shared answers Share",
	ErrBody:     "the body of a control frame decodes to the fields of its type",
	ErrWrongWay: "each side sends only its own control types",
	ErrOrder:    "a control message comes when it makes sense",
	ErrTerms:    "the terms of a ring are within the limits",
	ErrTable:    "a table goes clockwise, with IDs below 2^bits, and has a later epoch",
}

// String returns the number as PROTOCOL.md writes it.
func (r Rule) String() string { return "R" + strconv.Itoa(int(r)) }

// Error names the rule that was broken.
func (r Rule) Error() string {
	if text, ok := rules[r]; ok {
		return "broken rule " + r.String() + ", " + text
	}
	return "broken rule " + r.String()
}

// Broken returns the rule that an error says was broken.
func Broken(err error) (Rule, bool) { return errors.AsType[Rule](err) }

// maxViolation bounds the text of a violation.
const maxViolation = 500

// Violation says which rule the other side has broken. It is sent before the connection is closed,
// at most once, and is never answered. On a control connection it is a message, else the body of
// a frame whose seq is the code:
//
//	0 rule  uint8 length and bytes   "R21"
//	  text  UTF-8 to the end         for people
type Violation struct {
	Code uint64 // the number of the rule; 0 if it has none
	Rule string
	Text string
}

// ViolationOf returns what to tell the other side of an error, and whether the error is about a
// rule at all.
func ViolationOf(err error) (v Violation, ok bool) {
	r, ok := Broken(err)
	if _, received := errors.AsType[Violation](err); received || !ok {
		return v, false
	}
	text := strings.ToValidUTF8(err.Error(), "\uFFFD")
	if len(text) > maxViolation {
		n := maxViolation
		for !utf8.RuneStart(text[n]) {
			n--
		}
		text = text[:n]
	}
	return Violation{uint64(r), r.String(), text}, true
}

// Error is for the side that broke the rule. The text comes from the other side, so it is quoted
// and cut.
func (v Violation) Error() string {
	return fmt.Sprintf("the other side ended the connection, since this one broke rule %.20q: %.*q", v.Rule, maxViolation, v.Text)
}

// Append appends the frame of a violation.
func (v Violation) Append(dst []byte) []byte {
	rule := v.Rule[:min(len(v.Rule), 255)]
	body := append([]byte{byte(len(rule))}, rule...)
	return Append(dst, Header{Type: Violated, Seq: v.Code}, append(body, v.Text...))
}

// ParseViolation parses one. Its body has at least one byte.
func ParseViolation(f Frame) (v Violation, err error) {
	rule, text, ok := cutName(f.Body())
	if !ok {
		return v, badBody(Violated, len(f.Body()))
	}
	return Violation{f.Seq(), rule, string(text)}, nil
}
