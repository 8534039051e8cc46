package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/report"
	"github.com/x/ringdht/status"
)

// traffic returns the commands about traffic runs.
func (o *operator) traffic() []console.Command {
	return []console.Command{
		{Name: "start", Args: "n [payload] [-csv]", Min: 1, Max: 3, Background: true, Run: o.start,
			Help: "lets every node send n messages and prints the summary",
			More: "Each message goes to a node drawn at random. It has 4 bytes, or as many as given. " +
				"The verdict is exact if every message arrived once with its value. " +
				"On a terminal the run is in the background: list, nodes, setup, stop and others work meanwhile. " +
				"In a script that is so if the line ends in &. Ctrl-C, or stop, ends a run and prints its account so far. " +
				"With -csv the summary is CSV.",
			Examples: []string{"start 25000", "start 1000 2048", "start 10 -csv"}},
		{Name: "stop", Beside: true, Run: o.stop,
			Help:     "stops the run under way; its account so far is printed",
			More:     "The nodes stop sending at once. What they have sent is delivered and counted. It also ends a command in the background, and a run that the page started.",
			Examples: []string{"stop"}},
		{Name: "summary", Args: "[-csv]", Max: 1, Run: o.summary,
			Help:     "prints the last summary again",
			More:     "It is that of the latest run that ended, with a line for each node; list-runs lists earlier runs. With -csv it is CSV, without separators in the numbers.",
			Examples: []string{"summary", "summary -json", "summary -csv"}},
	}
}

// asCSV splits off a last argument -csv.
func (o *operator) asCSV(args []string) (rest []string, csv bool) {
	if n := len(args); n > 0 && args[n-1] == "-csv" {
		return args[:n-1], true
	}
	return args, o.csv
}

func (o *operator) start(ctx context.Context, c *console.Call) error {
	args, csv := o.asCSV(c.Args)
	if len(args) == 0 || len(args) > 2 {
		return console.Usagef("expected n [payload]")
	}
	var t status.Traffic
	var err error
	if t.Messages, err = console.Number("n", args[0], 1); err != nil {
		return err
	}
	if len(args) > 1 {
		if t.Payload, err = console.Number("payload", args[1], 4); err != nil {
			return err
		}
	}
	t.Progress = func(sent, total int64) {
		c.Screen.Progress("sent %d of %d messages (%d %%)", sent, total, 100*sent/total)
	}
	s, err := o.perform(ctx, t)
	if errors.Is(err, ringdht.ErrNotReady) && o.registry.Snapshot().Live && o.settles(ctx, c) {
		s, err = o.perform(ctx, t)
	}
	c.Screen.Done()
	if err != nil {
		return err
	}
	return o.account(c, s, csv)
}

// settleTime bounds the wait for a ring that is not settled: after a restart of the registry, its
// members have two leases to come back.
const settleTime = time.Minute

// settles waits until the ring is settled, and says what is missing. It returns false if that takes
// too long.
func (o *operator) settles(ctx context.Context, c *console.Call) bool {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	missing := func() string { return "waiting: " + strings.Join(o.registry.Snapshot().Missing, "; ") }
	c.Screen.Progress("%s", missing()) // at once: the wait is mostly one of seconds
	err := c.Screen.While(func() error { return o.registry.WaitSettled(ctx) }, missing)
	_, without := errors.AsType[*status.LeftOutError](err) // the others are
	return err == nil || without
}

// windUp bounds the wait for the account of a run that was stopped.
const windUp = 5 * time.Second

var errCounting = errors.New("the run was stopped, and what was sent is still being counted: summary prints the account when it is known")

// perform does one run. If ctx ends, it stops the run, and returns the account of what was sent.
func (o *operator) perform(ctx context.Context, t status.Traffic) (*status.Summary, error) {
	type result struct {
		*status.Summary
		error
	}
	before := o.registry.Snapshot().Last
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	done := make(chan result, 1)
	go func() {
		s, err := o.registry.RunTraffic(running, t)
		done <- result{s, err}
	}()
	select {
	case r := <-done:
		return r.Summary, r.error
	case <-ctx.Done():
	}
	limit, stop := context.WithTimeout(context.WithoutCancel(ctx), windUp)
	defer stop()
	if err := o.registry.StopTraffic(limit); err != nil && limit.Err() != nil {
		return nil, errCounting
	}
	cancel() // for a run that had not begun
	r := <-done
	if last := o.registry.Snapshot().Last; r.error != nil && last != before && last.Stopped {
		return last, nil
	}
	return r.Summary, r.error
}

// account prints a summary. It returns a verdict if that is not exact.
func (o *operator) account(c *console.Call, s *status.Summary, csv bool) error {
	switch {
	case csv && !c.JSON:
		text := report.SummaryCSV(s)
		if header := report.SummaryHeader; !o.csv {
			text = header + text
		} else {
			o.header.Do(func() { text = header + text })
		}
		c.Screen.Print(text)
	default:
		c.Show(report.NewSummaryDocument(s), report.Summary(s, c.Screen.Columns()))
	}
	if !s.Exact() {
		return console.Verdictf("the verdict is not exact: %s", s.Verdict())
	}
	return nil
}

// stopped is the document of stop.
type stopped struct {
	Stopped string `json:"stopped"` // the command, or the run; empty if there was none
}

func (o *operator) stop(ctx context.Context, c *console.Call) error {
	line, ok := c.Stop(ctx)
	if ok {
		o.tell(c, stopped{line}, "Stopped: "+line)
		return nil
	}
	r := o.registry.Snapshot().Running
	if r == nil {
		o.tell(c, stopped{}, "There is no run to stop.")
		return nil
	}
	if err := o.registry.StopTraffic(ctx); err != nil {
		return err
	}
	run := fmt.Sprint("run ", r.Number)
	o.tell(c, stopped{run}, "Stopped: "+run+". Its account: summary.")
	return nil
}

func (o *operator) summary(_ context.Context, c *console.Call) error {
	args, csv := o.asCSV(c.Args)
	if len(args) > 0 {
		return console.Usagef("expected -csv or nothing")
	}
	s := o.registry.Snapshot().Last
	if s == nil {
		return errors.New("there is no summary yet: start a run with start n")
	}
	return o.account(c, s, csv)
}
