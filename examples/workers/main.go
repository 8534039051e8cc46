// Workers is a pool of workers: one node sends jobs to the others, which send back results.
// Here the workers count primes, and each job is a range of 1,000 numbers.
//
//	go run ./examples/workers
//
// Nothing can deadlock: a worker answers with its handler's context, and such a send never
// waits for the receiver; and the pool's handler never waits, as its channel has room for all.
package main

import (
	"context"
	"fmt"
	"log"
	"math/big"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/x/ringdht"
)

const workers, jobs, size = 4, 200, 1000

func main() {
	ctx := context.Background()
	time.AfterFunc(time.Minute, func() { log.Fatal("no result yet: a worker that dies takes its jobs along") })
	registry, err := ringdht.NewRegistry()
	check(err)
	addr, err := registry.Listen(ctx, "127.0.0.1:0")
	check(err)
	for range workers { // each could be a process of its own
		worker := ringdht.NewNode()
		results := worker.Service("results")
		worker.Service("jobs").Handle(func(ctx context.Context, m ringdht.Message) {
			job, _ := strconv.Atoi(string(m.Body))
			check(results.Send(ctx, m.Source, strconv.AppendInt(nil, work(job), 10)))
		})
		check(worker.Join(ctx, addr.String()))
	}

	var primes atomic.Int64                  // handlers of different sources run at once
	idle := make(chan ringdht.ID, 2*workers) // each worker twice: it never waits for its next job
	pool := ringdht.NewNode()
	pool.Service("results").Handle(func(_ context.Context, m ringdht.Message) {
		n, _ := strconv.ParseInt(string(m.Body), 10, 64)
		primes.Add(n)
		idle <- m.Source
	})
	queue := pool.Service("jobs")
	check(pool.Join(ctx, addr.String()))
	_, err = registry.Setup(ctx, 0)
	check(err)
	check(pool.Ready(ctx))
	for _, worker := range append(pool.Members(), pool.Members()...) {
		idle <- worker.ID
	}

	for job := range jobs + cap(idle) { // after the last job, wait until all are idle
		if worker := <-idle; job < jobs {
			check(queue.Send(ctx, worker, strconv.AppendInt(nil, int64(job), 10)))
		}
	}
	fmt.Printf("%d primes below %d, counted by %d workers\n", primes.Load(), jobs*size, workers)
}

// work counts the primes of a job.
func work(job int) (primes int64) {
	for n := job * size; n < (job+1)*size; n++ {
		if big.NewInt(int64(n)).ProbablyPrime(0) {
			primes++
		}
	}
	return primes
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
