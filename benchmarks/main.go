// Command benchmarks compares ringdht with hand-written references and with other ways to
// carry messages. It writes tables, plots and a file with every round.
//
//	go run .                          everything: see README.md for how long it takes
//	go run . -quick                   a row of every kind, once and briefly, to see that it works
//	go run . -only 'Rings.* 8 B'      the rows whose names match
//	go run . -doc                     the tables of docs/performance.md, and of the aims
//	go run . -guard                   ringdht against the references, against floors
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/x/ringdht/benchmarks/internal/process"
	"github.com/x/ringdht/benchmarks/internal/report"
)

func main() {
	process.Main(systems)
	log.SetFlags(0)
	rounds := flag.Int("rounds", 5, "how often each system is measured")
	d := flag.Duration("time", time.Second, "how long each system is under load")
	warm := flag.Duration("warm", 0, "how long each is under load before the measurement (default a fifth of -time)")
	only := flag.String("only", "", "only rows whose names match this regular `expression`")
	which := flag.String("systems", "", "besides the reference, only systems whose names match this regular `expression`")
	out := flag.String("out", "results", "where to write tables, rounds and plots")
	list := flag.Bool("list", false, "list the rows")
	quick := flag.Bool("quick", false, "a smoke test: a row of every kind, one short round")
	doc := flag.Bool("doc", false, "measure what docs/performance.md shows, and print its tables")
	guard := flag.Bool("guard", false, "compare ringdht with the references, and fail if it has become slow")
	flag.Parse()
	set := make(map[string]bool)
	flag.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if err := sensible(set, flag.Args(), *rounds, *d, *warm); err != nil {
		log.Fatal(err)
	}

	of := full
	if *doc {
		of = documented
	}
	of.warm, of.duration = cmp.Or(*warm, *d/5), *d
	if *quick {
		of, *rounds = brief, 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal ends it with the results so far, the second at once
	if *guard {
		if err := guardPath(ctx, os.Stdout); err != nil {
			log.Fatal(err)
		}
		return
	}
	r := runner{systems: systems, rounds: *rounds, progress: os.Stderr}
	var err error
	if r.only, err = regexp.Compile(*only); err != nil {
		log.Fatal(err)
	}
	if r.which, err = regexp.Compile(*which); err != nil {
		log.Fatal(err)
	}
	sections := plan(of)
	if err := r.check(sections); err != nil {
		log.Fatal(err)
	}
	if *list {
		r.list(os.Stdout, sections)
		return
	}
	start := time.Now()
	tables, ok := r.run(ctx, sections)
	how := report.How{Command: command(os.Args[1:]), Rounds: *rounds, Warm: of.warm, Load: of.duration, Took: time.Since(start)}
	if err := publish(os.Stdout, *out, how, tables, *doc); err != nil {
		log.Fatal(err)
	}
	if !ok {
		log.Fatal("not everything could be measured, see above")
	}
}

// sensible returns an error for a command line that could not mean anything. It takes the flags
// that are set, the arguments after them, and the values.
func sensible(set map[string]bool, args []string, rounds int, d, warm time.Duration) error {
	switch {
	case len(args) > 0:
		return fmt.Errorf("unexpected argument %q: everything is said by flags, see -h", args[0])
	case rounds < 1:
		return fmt.Errorf("-rounds %d: there must be one at least", rounds)
	case d <= 0:
		return fmt.Errorf("-time %v: it must be longer than 0", d)
	case warm < 0:
		return fmt.Errorf("-warm %v: it cannot be less than 0", warm)
	case set["guard"] && len(set) > 1:
		return errors.New("-guard measures rows of its own, five rounds of 200 ms: leave out the other flags")
	case set["quick"] && (set["rounds"] || set["time"] || set["warm"]):
		return errors.New("-quick measures one round of 50 ms: leave out -rounds, -time and -warm")
	}
	return nil
}

// command is the command line with these arguments, as one types it.
func command(args []string) string {
	plain := regexp.MustCompile(`^[-=.,/:\w]+$`)
	var line strings.Builder
	line.WriteString("go run .")
	for _, a := range args {
		if !plain.MatchString(a) {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		line.WriteString(" " + a)
	}
	return line.String()
}

// publish prints the tables, or those of the document. It writes both, the rounds and the
// plots to files in a directory.
func publish(w io.Writer, dir string, how report.How, tables []*report.Section, doc bool) error {
	var text, document bytes.Buffer
	text.WriteString(report.Header(how))
	document.WriteString(text.String())
	text.WriteString(report.Figures)
	if err := errors.Join(report.Markdown(&text, tables), report.Document(&document, tables)); err != nil {
		return err
	}
	print := &text
	if doc {
		print = &document
	}
	if _, err := w.Write(print.Bytes()); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "tables.md"), text.Bytes(), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "performance.md"), document.Bytes(), 0o644); err != nil {
		return err
	}
	if err := toFile(dir, "rounds.csv", func(w io.Writer) error { return report.CSV(w, tables) }); err != nil {
		return err
	}
	for _, t := range tables {
		for _, p := range t.Plots() {
			if err := toFile(dir, p.File(), p.SVG); err != nil {
				return fmt.Errorf("%s: %w", p.Title, err)
			}
		}
	}
	return nil
}

func toFile(dir, name string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o644)
}
