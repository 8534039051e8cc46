package console

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// Entrance is where a program joins a ring: the address of a registry, or the join line of a
// secure ring, which has the ring's secret. It is printed without the secret.
type Entrance struct{ text string }

// For returns what Join of a node takes.
func (e Entrance) For() string { return e.text }

// String returns the address of the registry.
func (e Entrance) String() string {
	if !e.Secure() {
		return e.text
	}
	_, rest, _ := strings.Cut(e.text, ":")
	addr, _, _ := strings.Cut(rest, "/")
	return addr
}

// Secure reports whether it is a join line.
func (e Entrance) Secure() bool { return looksLikeJoinLine(e.text) }

func looksLikeJoinLine(text string) bool {
	return len(text) > 4 && strings.EqualFold(text[:4], "rdht") && strings.Contains(text, "/")
}

// linePart is how a join line starts or ends.
var linePart = regexp.MustCompile(`(?i)rdht\d+:|[a-z2-7]{16,}-[a-z2-7]{16,}`)

// maxJoinLine bounds what is read where a join line should be.
const maxJoinLine = 4096

// ParseEntrance reads the place of a ring: host:port or a port of this machine; a join line;
// @file, whose first line is one of these; or -, for the first line of the input. Files and the
// input keep a secret off the command line, which other users of a machine can see.
func ParseEntrance(text string, stdin io.Reader) (e Entrance, err error) {
	switch name, file := strings.CutPrefix(text, "@"); {
	case text == "-":
		if text, err = readLine(stdin); err != nil {
			return e, Usagef("expected the join line as the first line of the input: %v", err)
		}
	case file:
		f, err := os.Open(name)
		if err != nil {
			return e, Usagef("the file with the join line: %v", err)
		}
		defer f.Close()
		if text, err = readLine(bufio.NewReader(f)); err != nil {
			return e, Usagef("expected the join line as the first line of %s: %v", name, err)
		}
	}
	for word := range strings.FieldsSeq(text) { // as copied, perhaps with quotes or the command before it
		if word = strings.Trim(word, `'"`+"`"); looksLikeJoinLine(word) {
			return Entrance{word}, nil
		}
	}
	addr, err := Address(strings.TrimSpace(text), "localhost")
	if err != nil && linePart.MatchString(text) { // what is printed must have no secret
		return e, Usagef("the join line was cut short or changed: it is rdht1:HOST:PORT/PIN-SECRET: copy it again, whole")
	}
	return Entrance{addr}, err
}

// readLine reads one line and no byte behind it: what follows are commands.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); ; {
		switch n, err := r.Read(b); {
		case n == 1 && b[0] == '\n' && len(bytes.TrimSpace(line)) == 0:
			return "", errors.New("it is empty")
		case n == 1 && b[0] == '\n':
			return string(line), nil
		case n == 1 && len(line) >= maxJoinLine:
			return "", fmt.Errorf("it is longer than %d bytes", maxJoinLine)
		case n == 1:
			line = append(line, b[0])
		case err == io.EOF && len(line) > 0:
			return string(line), nil
		case err == io.EOF:
			return "", errors.New("it is empty")
		case err != nil:
			return "", err
		}
	}
}
