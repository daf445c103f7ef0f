//go:build linux

package main

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Rates are how often things happen on an exam day.
type Rates struct {
	PageLeast time.Duration `json:"page_least_ns" help:"A student stays on a page for at least this (default: ${default})." default:"30s"`
	PageMost  time.Duration `json:"page_most_ns" help:"... and at most this (default: ${default})." default:"90s"`
	Signals   float64       `json:"signals_per_hour" help:"Signals of a student in an hour, beside one a page (default: ${default})." default:"12"`
	Hands     float64       `json:"hands" help:"Share of the students who raise a hand in the steady phase (default: ${default})." default:"0.02"`
	Chats     float64       `json:"chats" help:"Share of the students who write a line in the steady phase (default: ${default}); a proctor answers." default:"0.02"`
	Drops     float64       `json:"drops" help:"Share of the students whose connection breaks in the steady phase (default: ${default})." default:"0.01"`
	Away      float64       `json:"away" help:"Share of the students whose network is out for a while (default: ${default})." default:"0.2"`
	Messages  time.Duration `json:"messages_every_ns" help:"Time between two messages of a proctor to students (default: ${default})." default:"5m"`
	Details   time.Duration `json:"details_every_ns" help:"Time between two attempts whose details a proctor opens (default: ${default})." default:"1m"`
}

// Phase is a part of an exam day.
type Phase string

// The phases, in their order. PhaseKill is not planned: a node dies, and that is waited for.
const (
	PhaseArrive Phase = "arrival" // launches, check-ins, first pages
	PhaseSteady Phase = "steady"  // everybody works; the only phase that is shorter than in a real exam
	PhaseOutage Phase = "outage"  // a building's network is out, and comes back
	PhaseKill   Phase = "kill"    // a server is killed
	PhaseHandIn Phase = "hand-in" // everybody hands in
)

// deed is what somebody does.
type deed uint8

// The deeds. All but the last three are students'.
const (
	deedStart   deed = iota // launch, check-in, first page; wait: reading the notice
	deedTurn                // the next page; wait: until the LMS has made it
	deedSignal              // a signal
	deedAway                // a signal that is an incident
	deedHand                // raises a hand
	deedChat                // writes a line
	deedDrop                // loses the connection
	deedOut                 // loses the network; wait: for how long
	deedHandIn              // hands in
	deedAnswer              // a proctor lowers the hand and writes a line to the student
	deedMessage             // a proctor sends a message to the student
	deedDetails             // a proctor opens the student's details
)

// event is something that somebody does at a moment of a phase.
type event struct {
	at, wait time.Duration
	student  int // of the worker's
	proctor  int // of the student's exam, for what proctors do
	deed     deed
}

const (
	// Parts of the arrival: launches begin within the first; reading the notice takes some of the rest.
	launching             = 0.85
	readLeast, readMost   = 0.05, 0.15
	loadLeast, loadMost   = 200 * time.Millisecond, 1500 * time.Millisecond // an LMS makes a page
	answerLeast, answerOn = 5 * time.Second, 25 * time.Second
	// incidentEach is how many signals there are for one incident: as many as in the standard exam
	// (docs/storage.md).
	incidentEach = 12
	// outageTail is the part of its phase after an outage, in which everybody comes back.
	outageTail = 0.5
)

// planner makes the events of a phase from a seed; the same seed makes the same day.
type planner struct {
	random   *rand.Rand
	rates    Rates
	length   time.Duration
	exams    []int // students of each exam, whose order is that of the worker's students
	proctors int   // of each exam
	events   []event
}

// plan lists what happens in a phase, in order.
func plan(seed uint64, phase Phase, rates Rates, length time.Duration, exams []int, proctors int) []event {
	var salt uint64
	for _, c := range phase {
		salt = salt*31 + uint64(c)
	}
	p := &planner{random: rand.New(rand.NewPCG(seed, salt)), rates: rates, length: length, exams: exams, proctors: proctors}
	switch phase {
	case PhaseArrive:
		p.arrival()
	case PhaseSteady:
		p.work()
		p.trouble()
		p.staff()
	case PhaseOutage:
		p.work()
		p.outage()
	case PhaseHandIn:
		for s := range p.students() {
			p.add(event{at: p.upTo(length), student: s, deed: deedHandIn})
		}
	}
	slices.SortStableFunc(p.events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	return p.events
}

func (p *planner) students() (n int) {
	for _, e := range p.exams {
		n += e
	}
	return n
}

// add adds an event, unless the phase is over by then.
func (p *planner) add(e event) {
	if e.at < p.length {
		p.events = append(p.events, e)
	}
}

// upTo is a time below d.
func (p *planner) upTo(d time.Duration) time.Duration {
	return time.Duration(p.random.Float64() * float64(d))
}

func (p *planner) between(least, most time.Duration) time.Duration { return least + p.upTo(most-least) }

// arrival lets everybody press Start: most of them soon after the quiz opens, and the last when
// the phase is nearly over (a triangle whose peak is at its first third).
func (p *planner) arrival() {
	for s := range p.students() {
		u, peak := p.random.Float64(), 1.0/3
		if u < peak {
			u = math.Sqrt(u * peak)
		} else {
			u = 1 - math.Sqrt((1-u)*(1-peak))
		}
		read := readLeast + p.random.Float64()*(readMost-readLeast)
		p.add(event{
			at: time.Duration(u * launching * float64(p.length)), wait: time.Duration(read * float64(p.length)), student: s, deed: deedStart,
		})
	}
}

// work is page turns and signals.
func (p *planner) work() {
	for s := range p.students() {
		// The first page of the phase was begun before it.
		for at := p.upTo(p.between(p.rates.PageLeast, p.rates.PageMost)); at < p.length; at += p.between(p.rates.PageLeast, p.rates.PageMost) {
			p.add(event{at: at, wait: p.between(loadLeast, loadMost), student: s, deed: deedTurn})
		}
		if p.rates.Signals <= 0 {
			continue
		}
		gap := float64(time.Hour) / p.rates.Signals
		for at := p.random.ExpFloat64() * gap; at < float64(p.length); at += p.random.ExpFloat64() * gap {
			e := event{at: time.Duration(at), student: s, deed: deedSignal}
			if p.random.IntN(incidentEach) == 0 {
				e.deed = deedAway
			}
			p.add(e)
		}
	}
}

// some are a share of the students, at least one where there is a share.
func (p *planner) some(share float64) []int {
	if share <= 0 {
		return nil
	}
	n := p.students()
	return p.random.Perm(n)[:min(n, max(1, int(math.Round(share*float64(n)))))]
}

// trouble is hands, lines and connections that break. It ends early enough to be over with the phase.
func (p *planner) trouble() {
	last := p.length * 2 / 3
	answer := func(at time.Duration, s int) {
		if p.proctors > 0 {
			p.add(event{at: at + p.between(min(answerLeast, p.length/6), min(answerOn, p.length/3)), student: s, proctor: p.random.IntN(p.proctors), deed: deedAnswer})
		}
	}
	for _, s := range p.some(p.rates.Hands) {
		at := p.upTo(last)
		p.add(event{at: at, student: s, deed: deedHand})
		answer(at, s)
	}
	for _, s := range p.some(p.rates.Chats) {
		at := p.upTo(last)
		p.add(event{at: at, student: s, deed: deedChat})
		answer(at, s)
	}
	for _, s := range p.some(p.rates.Drops) {
		p.add(event{at: p.upTo(last), student: s, deed: deedDrop})
	}
}

// staff is what proctors do by themselves.
func (p *planner) staff() {
	first := 0
	for _, n := range p.exams {
		for i := range p.proctors {
			for _, job := range []struct {
				deed  deed
				every time.Duration
			}{{deedMessage, p.rates.Messages}, {deedDetails, p.rates.Details}} {
				if job.every <= 0 || n == 0 {
					continue
				}
				for at := p.upTo(job.every); at < p.length; at += job.every {
					p.add(event{at: at, student: first + p.random.IntN(n), proctor: i, deed: job.deed})
				}
			}
		}
		first += n
	}
}

// outage takes the network from those of a building: whole exams, as far as the share allows.
func (p *planner) outage() {
	n := int(math.Round(p.rates.Away * float64(p.students())))
	for s := range n {
		p.add(event{wait: time.Duration(float64(p.length) * (1 - outageTail)), student: s, deed: deedOut})
	}
}
