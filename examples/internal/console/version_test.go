package console

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"regexp"
	"testing"
)

func TestVersion(t *testing.T) {
	flags := flag.NewFlagSet("desk", flag.ContinueOnError)
	VersionFlag(flags)
	var out bytes.Buffer
	err := Parse(flags, []string{"-version"}, &out, "manual")
	if want := regexp.MustCompile(`^desk \S.* go1\.\S+ \w+/\w+\n$`); !want.Match(out.Bytes()) || !errors.Is(err, flag.ErrHelp) || Exit("desk", io.Discard, err) != 0 {
		t.Errorf("%q, %v", &out, err)
	}
	if err := Parse(flags, []string{"-version=false", "x"}, io.Discard, "manual"); err != nil {
		t.Error(err)
	}
}
