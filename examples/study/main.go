// Study computes the hops of routes in rings of any size, exactly and by simulation, for the
// two plans for routing tables: classic, with entries 1, 2, 4, 8 and so on positions ahead,
// and best, with the offsets that need the fewest hops. It opens no connection.
//
//	go run ./examples/study [flags]
//
// # Flags
//
//	-csv            the table as comma-separated values
//	-json           the table as JSON, a line for each row
//	-k sizes        entries of each routing table, a list such as 3,10,auto; auto, the
//	                default, is log2 of the number of nodes
//	-n sizes        nodes in the ring, a list, 1000 by default, at most 1000000 each
//	-seed s         of the simulation, 1 by default
//	-simulate n     simulate rings of at most n nodes, 2000 by default
//	-svg file       draw the hops of both plans side by side, for the first -n, too
//
// # What it prints
//
// There is a line for each ring, size of tables, and plan. The first columns are exact: the
// mean and the most hops over all pairs of nodes, the most hops if any entries lag while
// nodes come and go, and how many frames each node relays for others per frame that it sends.
// All nodes relay the same number, since the ring looks alike from each of them.
//
// The other columns are from a simulation: a ring of random IDs in which half of the nodes
// were replaced, a thousandth at a time, so that entries have drifted as in a live ring that
// has not come to rest. All routes are walked through the tables that the registry would have
// sent, by the nodes' own rule. The columns are the mean and the most hops, and how many
// frames the idlest, the median and the busiest node relay per frame that they send. Above
// 10,000 nodes, a hundredth is replaced at a time, and only the routes to some sinks are
// walked, which does not measure the relays of single nodes. The last columns are how many
// table entries the registry has to send for each join and each death, and for each join
// while the ring grows by a half.
//
// For one ring and one size of tables, the offsets follow, and the share of routes at each
// number of hops.
//
// # Exit status
//
// 0; 1 if it could not write, or was interrupted; 2 for wrong arguments.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/x/ringdht/examples/internal/console"
)

const manual = `
usage: study [flags]

Computes hops and relay load in rings of any size, exactly and by simulation, for
classic tables (entries 1, 2, 4 and so on positions ahead) and for tables that need
the fewest hops (best).
`

// maxNodes bounds the ring, since distances are counted one by one.
const maxNodes = 1_000_000

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program. It returns its exit status. It reads no input.
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	return console.Exit("study", stderr, study(ctx, args, stdout))
}

func study(ctx context.Context, args []string, stdout io.Writer) error {
	nodes, sizes := []int{1000}, []int{0}
	flags := flag.NewFlagSet("study", flag.ContinueOnError)
	flags.Func("n", "the `sizes` of the rings, a list (default 1000)", list(&nodes, 2, maxNodes))
	flags.Func("k", "the `sizes` of routing tables, a list; auto for log2 of the nodes (default auto)", list(&sizes, 1, maxNodes))
	most := flags.Int("simulate", 2000, "simulate rings of at most `n` nodes")
	seed := flags.Uint64("seed", 1, "the `seed` of the simulation")
	csv := flags.Bool("csv", false, "print comma-separated values")
	asJSON := flags.Bool("json", false, "print JSON, a line for each row")
	svg := flags.String("svg", "", "draw a plot into this `file`, too")
	if err := console.Parse(flags, args, stdout, manual); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return console.Usagef("expected flags only, got %q", flags.Arg(0))
	}
	if *csv && *asJSON {
		return console.Usagef("expected -csv or -json, not both")
	}
	var drawing *os.File
	if *svg != "" { // before anything that takes time
		var err error
		if drawing, err = os.Create(*svg); err != nil {
			return err
		}
		defer drawing.Close()
	}
	var rows []row
	for _, n := range nodes {
		for _, k := range sizes {
			for _, p := range plans {
				if ctx.Err() != nil {
					return errors.New("interrupted")
				}
				rows = append(rows, newRow(n, k, p, *most, *seed))
			}
		}
	}
	text := tableOf(rows)
	switch {
	case *csv:
		text = valuesOf(rows)
	case *asJSON:
		text = documentsOf(rows)
	case len(rows) == len(plans):
		text += "\n" + detailsOf(rows)
	}
	if _, err := io.WriteString(stdout, text); err != nil {
		return err
	}
	if drawing == nil {
		return nil
	}
	if _, err := io.WriteString(drawing, plot(nodes[0])); err != nil {
		return err
	}
	return drawing.Close()
}

// list parses whole numbers, separated by commas, into a flag. auto is 0.
func list(to *[]int, least, most int) func(string) error {
	return func(text string) error {
		*to = nil
		for word := range strings.SplitSeq(text, ",") {
			n, err := strconv.Atoi(word)
			if word == "auto" && least == 1 {
				n, err = 0, nil
			} else if err != nil || n < least || n > most {
				return errors.New("expected whole numbers from " + strconv.Itoa(least) + " to " + strconv.Itoa(most))
			}
			*to = append(*to, n)
		}
		return nil
	}
}
