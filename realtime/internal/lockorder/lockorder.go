// Package lockorder has mutexes with a rank: whoever holds one may take only mutexes of a higher rank. Two of
// the same rank are never held at once.
//
// Built with the race detector, a mutex that is taken in the wrong order panics and names both. Otherwise a
// mutex is sync.Mutex or sync.RWMutex and nothing else.
package lockorder

// Rank is a mutex's place in the order.
type Rank interface {
	place() int
	name() string
}

// The ranks, in their order: the outermost first.
type (
	// Rows is of dashboard.Board.Order.
	Rows struct{}
	// Hub is of realtime.Hub: which rooms and students there are.
	Hub struct{}
	// Student is of a student.
	Student struct{}
	// Room is of what a room or a board knows of its students.
	Room struct{}
	// Dashboard is of one proctor's socket.
	Dashboard struct{}
	// Socket is of socket.Conn.
	Socket struct{}
	// Flusher is of what the writes of many sockets share.
	Flusher struct{}
	// Leaf is of whatever is taken with nothing locked within but Queue and Tasks.
	Leaf struct{}
	// Queue is of a queue of jobs.
	Queue struct{}
	// Tasks is of the group of a node's tasks.
	Tasks struct{}
)

func (Rows) place() int      { return 1 }
func (Hub) place() int       { return 2 }
func (Student) place() int   { return 3 }
func (Room) place() int      { return 4 }
func (Dashboard) place() int { return 5 }
func (Socket) place() int    { return 6 }
func (Flusher) place() int   { return 7 }
func (Leaf) place() int      { return 8 }
func (Queue) place() int     { return 9 }
func (Tasks) place() int     { return 10 }

func (Rows) name() string      { return "Rows" }
func (Hub) name() string       { return "Hub" }
func (Student) name() string   { return "Student" }
func (Room) name() string      { return "Room" }
func (Dashboard) name() string { return "Dashboard" }
func (Socket) name() string    { return "Socket" }
func (Flusher) name() string   { return "Flusher" }
func (Leaf) name() string      { return "Leaf" }
func (Queue) name() string     { return "Queue" }
func (Tasks) name() string     { return "Tasks" }
