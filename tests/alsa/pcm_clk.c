/* A simulated sound card for tests: an ALSA "ioplug" PCM with a clock, controlled through a shared file.
 *
 * Configuration:
 *   pcm_type.clk { lib "/path/libasound_module_pcm_clk.so" }
 *   pcm.desk { type clk  bus "/path/file"  channels 24  rate 48000  latency 64  ramp 0  access "mr n" }
 * Both directions of all PCMs on one bus file share one clock. With "ramp 1", capture frame d of channel c is
 * ((d + c * 1000003) mod 2^24) - 2^23 in the top 24 bits. Otherwise capture gets the frame that was played `latency`
 * frames before, or silence if none was played. "access" allows m: mapped, r: read/write, n: non-interleaved r/w.
 * With "step N" the counter advances by N frames at once, as that of a card whose driver counts ticks or packets.
 * With "delay N" the card tells a delay of N frames in addition to those in its buffers, one half of it for each direction.
 * With "served 1" the delay of capture has the frames since the last step too, as that of a sound server's block.
 * With "periods N" its buffer has at most N periods.
 * With "most N" it can be opened with 1 to N channels.
 * With "kernel 1" the PCM behaves like a card's own: its description is a card's, and with a stop threshold of the boundary
 * it goes on at an overrun. Frames that were overwritten are then read as the frames that overwrote them.
 *
 * Fields of the bus file (native endian) that tests write:
 *    0 u32 set to BUS_MAGIC by the first user    4 u32 fault, see enum    8 i32 clock error, parts per million
 *   12 u32 argument of the fault                16 u64 time of frame 0
 * Fields that this plugin writes:
 *   24 u64 capture frames lost (xruns, silent losses)   32 u64 xruns    40 u64 time at which the clock was stopped
 *   68 u32 open PCMs   72 u32 starts
 * More fields that tests write:
 *   48 u32 plug number: a PCM that was opened under another number is unplugged   52 u32 channels, 0: as configured
 *   56 u32 rate, 0: as configured   60 u32 frames of the only period that the card accepts, 0: any
 *   64 u32 not 0: the plugin tells each preparation as an error message of alsa-lib
 */
#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define BUS_MAGIC 0x314b4c43u
#define LOOP_FRAMES 65536u
#define LOOP_AT 4096u

enum fault { NONE, UNPLUGGED, STUCK, CAPTURE_XRUN, PLAYBACK_XRUN, UNPLUGGED_FOR_GOOD, SILENT_LOSS, BUSY, SUSPEND, BROKEN };

struct bus {
	volatile uint32_t magic, fault;
	volatile int32_t ppm;
	volatile uint32_t argument;
	volatile uint64_t epoch_ns, lost, xruns, stopped_ns;
	volatile uint32_t plugged, channels, rate, period, talks, open, starts, ppm_seen;
	volatile double ppm_from_frames; /* frame of the last change of the clock error */
	volatile uint64_t ppm_from_ns;
};

struct card {
	snd_pcm_ioplug_t io;
	struct bus *bus;
	size_t bus_bytes;
	uint64_t *stamp;      /* per loop frame: 1 + the device frame it holds */
	int32_t *loop;
	int timer, running;
	unsigned latency;
	long ramp, delay, step, served;
	uint32_t plugged;     /* the plug number of the bus at open */
	int can_resume;
	uint64_t first;       /* device frame at start */
	uint64_t hole, hole_at; /* frames of the last silent loss, and their position */
	uint64_t next;        /* device frame behind the last one before an xrun; 0: none */
	snd_pcm_uframes_t wake_frames;
	long kernel;
	int endless;          /* the stop threshold is the boundary */
	snd_pcm_uframes_t boundary;
};

static uint64_t clock_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t true_frame(struct card *card)
{
	struct bus *bus = card->bus;
	uint64_t now = clock_ns();
	if (bus->fault == STUCK) {
		if (!bus->stopped_ns)
			bus->stopped_ns = now;
		now = bus->stopped_ns;
	} else if (bus->stopped_ns) {
		bus->stopped_ns = 0;
	}
	double frame = bus->ppm_from_frames + (double)(now - bus->ppm_from_ns) * 1e-9 * card->io.rate * (1.0 + (int32_t)bus->ppm_seen * 1e-6);
	if ((uint32_t)bus->ppm != bus->ppm_seen) { /* the clock continues from this frame at another speed */
		bus->ppm_from_frames = frame;
		bus->ppm_from_ns = now;
		bus->ppm_seen = bus->ppm;
	}
	return (uint64_t)frame;
}

static uint64_t device_frame(struct card *card)
{
	uint64_t frame = true_frame(card);
	return frame - frame % card->step;
}

static int is_capture(const snd_pcm_ioplug_t *io) { return io->stream == SND_PCM_STREAM_CAPTURE; }

static int is_gone(const struct card *card)
{
	const struct bus *bus = card->bus;
	return bus->fault == UNPLUGGED || bus->fault == UNPLUGGED_FOR_GOOD || bus->plugged != card->plugged;
}

static void alarm_in(struct card *card, uint64_t ns)
{
	struct itimerspec when = { .it_value = { .tv_sec = ns / 1000000000u, .tv_nsec = ns % 1000000000u } };
	timerfd_settime(card->timer, 0, &when, NULL);
}

/* Number of frames that the hardware pointer has advanced since the start. */
static uint64_t moved(struct card *card)
{
	uint64_t frames = device_frame(card) - card->first;
	if (card->hole && frames < card->hole_at + card->hole)
		return frames < card->hole_at ? frames : card->hole_at;
	return frames - card->hole;
}

/* Device frame of the frame that is `frames` after the start in the buffer. */
static uint64_t frame_at(struct card *card, uint64_t frames)
{
	return card->first + frames + (card->hole && card->hole_at <= frames ? card->hole : 0);
}

static int32_t sample_in(snd_pcm_format_t format, const uint8_t *p)
{
	float f;
	int32_t v;
	switch (format) {
	case SND_PCM_FORMAT_S16_LE: return (int32_t)((uint32_t)p[1] << 24 | (uint32_t)p[0] << 16);
	case SND_PCM_FORMAT_S24_LE:
	case SND_PCM_FORMAT_S24_3LE: return (int32_t)((uint32_t)p[2] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[0] << 8);
	case SND_PCM_FORMAT_FLOAT_LE:
		memcpy(&f, p, 4);
		return f >= 1.0f ? INT32_MAX : f <= -1.0f ? INT32_MIN : (int32_t)((double)f * 2147483648.0);
	default: memcpy(&v, p, 4); return v;
	}
}

static void sample_out(snd_pcm_format_t format, uint8_t *p, int32_t v)
{
	float f = (float)(v / 2147483648.0);
	switch (format) {
	case SND_PCM_FORMAT_S16_LE: p[0] = v >> 16; p[1] = v >> 24; break;
	case SND_PCM_FORMAT_S24_LE: p[3] = 0x5a; /* the top byte has no meaning; fall through */
	case SND_PCM_FORMAT_S24_3LE: p[0] = v >> 8; p[1] = v >> 16; p[2] = v >> 24; break;
	case SND_PCM_FORMAT_FLOAT_LE: memcpy(p, &f, 4); break;
	default: memcpy(p, &v, 4);
	}
}

static int card_start(snd_pcm_ioplug_t *io)
{
	struct card *card = io->private_data;
	if (is_gone(card))
		return -ENODEV;
	uint64_t now = device_frame(card);
	/* The frames before the start can only be stamped now, because their device frame was unknown. */
	if (!is_capture(io)) {
		uint64_t ahead = io->appl_ptr;
		for (uint64_t f = 0; f < ahead; f++) {
			uint64_t to = (now + f) % LOOP_FRAMES;
			memset(card->loop + to * io->channels, 0, 4 * io->channels); /* tests prefill silence only */
			card->stamp[to] = now + f + 1;
		}
	} else if (card->next) {
		card->bus->lost += now - card->next;
	}
	card->next = 0;
	card->hole = card->hole_at = 0;
	card->first = now;
	card->running = 1;
	card->bus->starts++;
	return 0;
}

static int card_stop(snd_pcm_ioplug_t *io)
{
	struct card *card = io->private_data;
	if (card->running && !is_capture(io)) { /* discard the frames that are not played yet */
		uint64_t end = card->first + io->appl_ptr;
		for (uint64_t f = device_frame(card); f < end; f++)
			card->stamp[f % LOOP_FRAMES] = 0;
	}
	card->running = 0;
	return 0;
}

static int card_prepare(snd_pcm_ioplug_t *io)
{
	struct card *card = io->private_data;
	card->running = 0;
	if (card->bus->talks)
		SNDERR("%s", "prepared");
	return is_gone(card) ? -ENODEV : 0;
}

/* Called after a system sleep. The frames of the sleep are lost, whether the card can resume or not. */
static int card_resume(snd_pcm_ioplug_t *io)
{
	struct card *card = io->private_data;
	if (!card->can_resume)
		return -ENOSYS;
	int err = card_start(io);
	if (err >= 0)
		snd_pcm_ioplug_set_state(io, SND_PCM_STATE_RUNNING);
	return err;
}

static snd_pcm_sframes_t xrun(struct card *card)
{
	snd_pcm_ioplug_t *io = &card->io;
	if (is_capture(io))
		card->next = frame_at(card, io->appl_ptr);
	card->bus->xruns++;
	card_stop(io);
	return -EPIPE;
}

/* The position that alsa-lib wants: modulo the boundary for a counter that may be more than a buffer ahead. */
static snd_pcm_sframes_t wrapped(struct card *card, uint64_t frames)
{
	return frames % (card->kernel ? card->boundary : card->io.buffer_size);
}

static snd_pcm_sframes_t card_pointer(snd_pcm_ioplug_t *io)
{
	struct card *card = io->private_data;
	struct bus *bus = card->bus;
	if (is_gone(card)) {
		snd_pcm_ioplug_set_state(io, SND_PCM_STATE_DISCONNECTED);
		return wrapped(card, io->hw_ptr);
	}
	if (!card->running)
		return wrapped(card, io->hw_ptr);
	if (bus->fault == (is_capture(io) ? CAPTURE_XRUN : PLAYBACK_XRUN)) {
		/* The argument is the number of further xruns, each directly after the next start. */
		if (bus->argument)
			bus->argument--;
		else
			bus->fault = NONE;
		return xrun(card);
	}
	if (bus->fault == SUSPEND) {
		bus->fault = NONE;
		card->can_resume = bus->argument;
		if (is_capture(io))
			card->next = frame_at(card, io->appl_ptr);
		card_stop(io);
		snd_pcm_ioplug_set_state(io, SND_PCM_STATE_SUSPENDED); /* returning an error would turn this into an xrun */
		return wrapped(card, io->hw_ptr);
	}
	if (bus->fault == SILENT_LOSS && is_capture(io)) {
		bus->fault = NONE;
		card->hole_at = moved(card);
		card->first += card->hole; /* the former hole has been passed */
		card->hole = bus->argument;
		bus->lost += card->hole;
	}
	uint64_t frames = moved(card), limit = io->appl_ptr + (is_capture(io) ? io->buffer_size : 0);
	if (limit <= frames && !card->endless)
		return xrun(card);
	return wrapped(card, frames);
}

static uint8_t *sample_address(const snd_pcm_channel_area_t *area, snd_pcm_uframes_t frame)
{
	return (uint8_t *)area->addr + (area->first + frame * area->step) / 8;
}

static snd_pcm_sframes_t card_transfer(snd_pcm_ioplug_t *io, const snd_pcm_channel_area_t *areas,
				       snd_pcm_uframes_t offset, snd_pcm_uframes_t size)
{
	struct card *card = io->private_data;
	unsigned channels = io->channels;
	if (is_gone(card))
		return -ENODEV;
	if (card->bus->fault == BROKEN) /* while the counter goes on and the state is that of a card that runs */
		return -EIO;
	uint64_t newest = card->endless && card->running ? moved(card) : 0;
	/* A mapped capture ring is updated more than once, so the position must follow from appl_ptr alone. */
	for (snd_pcm_uframes_t k = 0; k < size; k++) {
		uint64_t position = io->appl_ptr + k;
		if (position + io->buffer_size <= newest) /* overwritten, perhaps more than once */
			position += (newest - 1 - position) / io->buffer_size * io->buffer_size;
		uint64_t frame = frame_at(card, position);
		uint64_t source = frame - card->latency;
		int32_t *played = card->loop + source % LOOP_FRAMES * channels;
		int stamped = !card->ramp && card->stamp[source % LOOP_FRAMES] == source + 1;
		for (unsigned c = 0; c < channels; c++) {
			uint8_t *p = sample_address(&areas[c], offset + k);
			if (!is_capture(io)) {
				if (card->running)
					card->loop[frame % LOOP_FRAMES * channels + c] = sample_in(io->format, p);
			} else if (card->ramp) {
				uint32_t step = (uint32_t)(frame + c * 1000003ull) & 0xffffff;
				sample_out(io->format, p, (int32_t)((step << 8) ^ 0x80000000u));
			} else {
				sample_out(io->format, p, stamped ? played[c] : 0);
			}
		}
		if (!is_capture(io) && card->running)
			card->stamp[frame % LOOP_FRAMES] = frame + 1;
	}
	return size;
}

static int card_sw_params(snd_pcm_ioplug_t *io, snd_pcm_sw_params_t *params)
{
	struct card *card = io->private_data;
	snd_pcm_uframes_t stop;
	int err = snd_pcm_sw_params_get_avail_min(params, &card->wake_frames);
	if (err >= 0)
		err = snd_pcm_sw_params_get_boundary(params, &card->boundary);
	if (err >= 0)
		err = snd_pcm_sw_params_get_stop_threshold(params, &stop);
	card->endless = err >= 0 && card->kernel && is_capture(io) && stop == card->boundary;
	return err;
}

static snd_pcm_uframes_t available(snd_pcm_ioplug_t *io, uint64_t frames)
{
	return is_capture(io) ? frames - io->appl_ptr : io->buffer_size - (io->appl_ptr - frames);
}

/* Called before each poll. Sets the timer to the time at which enough frames are available. */
static int card_descriptors(snd_pcm_ioplug_t *io, struct pollfd *fds, unsigned space)
{
	struct card *card = io->private_data;
	if (space < 1)
		return -EINVAL;
	fds[0].fd = card->timer;
	fds[0].events = POLLIN;
	fds[0].revents = 0;
	if (is_gone(card)) {
		alarm_in(card, 1); /* like the kernel: always ready, with an error */
	} else if (card->bus->fault == STUCK || !card->running) {
		alarm_in(card, 0);
	} else {
		snd_pcm_uframes_t there = available(io, moved(card));
		uint64_t missing = there < card->wake_frames ? card->wake_frames - there : 0;
		uint64_t now = true_frame(card), due = now - now % card->step + missing;
		if (missing) /* the next step that has enough frames */
			missing = (due + card->step - 1) / card->step * card->step - now;
		alarm_in(card, 1 + (missing + 1) * 1000000000ull / io->rate);
	}
	return 1;
}

static int card_revents(snd_pcm_ioplug_t *io, struct pollfd *fds, unsigned count, unsigned short *revents)
{
	struct card *card = io->private_data;
	uint64_t ticks;
	(void)count;
	*revents = 0;
	if (fds[0].revents & POLLIN && read(card->timer, &ticks, sizeof ticks) < 0)
		return 0;
	if (is_gone(card))
		*revents = POLLERR | POLLNVAL;
	else if (card->running && card->wake_frames <= available(io, moved(card)))
		*revents = is_capture(io) ? POLLIN : POLLOUT;
	return 0;
}

static int card_delay(snd_pcm_ioplug_t *io, snd_pcm_sframes_t *frames)
{
	struct card *card = io->private_data;
	uint64_t since_step = card->served && card->running ? true_frame(card) % card->step : 0;
	*frames = is_capture(io) ? (snd_pcm_sframes_t)snd_pcm_ioplug_avail(io, io->hw_ptr, io->appl_ptr) + card->delay / 2 + (snd_pcm_sframes_t)since_step
				 : (snd_pcm_sframes_t)snd_pcm_ioplug_hw_avail(io, io->hw_ptr, io->appl_ptr) + card->delay - card->delay / 2;
	return 0;
}

static int card_close(snd_pcm_ioplug_t *io)
{
	struct card *card = io->private_data;
	card_stop(io);
	__atomic_fetch_sub(&card->bus->open, 1, __ATOMIC_SEQ_CST);
	munmap(card->bus, card->bus_bytes);
	close(card->timer);
	free(card);
	return 0;
}

static const snd_pcm_ioplug_callback_t callbacks = {
	.start = card_start, .stop = card_stop, .pointer = card_pointer, .transfer = card_transfer,
	.close = card_close, .prepare = card_prepare, .resume = card_resume, .delay = card_delay, .sw_params = card_sw_params,
	.poll_descriptors = card_descriptors, .poll_revents = card_revents,
};

static int constrain(snd_pcm_ioplug_t *io, const char *allowed, long least, long channels, long rate, long period, long periods)
{
	static const unsigned formats[] = { SND_PCM_FORMAT_S16_LE, SND_PCM_FORMAT_S24_LE, SND_PCM_FORMAT_S24_3LE,
					    SND_PCM_FORMAT_S32_LE, SND_PCM_FORMAT_FLOAT_LE };
	unsigned ways[3], count = 0, rates[] = { rate };
	if (strchr(allowed, 'm'))
		ways[count++] = SND_PCM_ACCESS_MMAP_INTERLEAVED;
	if (strchr(allowed, 'r'))
		ways[count++] = SND_PCM_ACCESS_RW_INTERLEAVED;
	if (strchr(allowed, 'n'))
		ways[count++] = SND_PCM_ACCESS_RW_NONINTERLEAVED;
	int err = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_ACCESS, count, ways);
	if (err >= 0)
		err = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_FORMAT, 5, formats);
	if (err >= 0)
		err = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_CHANNELS, least, channels);
	if (err >= 0)
		err = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_RATE, 1, rates);
	if (err >= 0)
		err = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIOD_BYTES, (period ? period : 16) * least * 2,
						      (period ? period : 8192) * channels * 4);
	if (err >= 0)
		err = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_BUFFER_BYTES, 32 * least * 2, 32768 * channels * 4);
	if (err >= 0)
		err = snd_pcm_ioplug_set_param_minmax(io, SND_PCM_IOPLUG_HW_PERIODS, 2, periods);
	return err;
}

static int open_bus(struct card *card, const char *path, long channels)
{
	card->bus_bytes = LOOP_AT + LOOP_FRAMES * (8 + 4 * (size_t)channels);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	void *map = ftruncate(fd, card->bus_bytes) < 0 ? MAP_FAILED
		  : mmap(NULL, card->bus_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return -errno;
	card->bus = map;
	card->stamp = (uint64_t *)((char *)map + LOOP_AT);
	card->loop = (int32_t *)(card->stamp + LOOP_FRAMES);
	if (card->bus->magic != BUS_MAGIC) {
		card->bus->epoch_ns = clock_ns() - 1000000000u; /* frame numbers well above any latency */
		card->bus->ppm_from_ns = card->bus->epoch_ns;
		card->bus->magic = BUS_MAGIC;
	}
	card->plugged = card->bus->plugged;
	return card->bus->fault == UNPLUGGED_FOR_GOOD ? -ENODEV : card->bus->fault == BUSY ? -EBUSY : 0;
}

SND_PCM_PLUGIN_DEFINE_FUNC(clk)
{
	snd_config_iterator_t i, next;
	const char *path = NULL, *allowed = "mrn";
	long channels = 2, rate = 48000, latency = 64, ramp = 0, kernel = 0, most = 0, delay = 0, step = 1, served = 0, periods = 1024;
	(void)root;
	snd_config_for_each(i, next, conf) {
		snd_config_t *entry = snd_config_iterator_entry(i);
		const char *id;
		int err = snd_config_get_id(entry, &id);
		if (err < 0 || !strcmp(id, "type") || !strcmp(id, "comment") || !strcmp(id, "hint"))
			continue;
		if (!strcmp(id, "bus"))
			err = snd_config_get_string(entry, &path);
		else if (!strcmp(id, "access"))
			err = snd_config_get_string(entry, &allowed);
		else
			err = snd_config_get_integer(entry, !strcmp(id, "channels") ? &channels : !strcmp(id, "rate") ? &rate
						     : !strcmp(id, "latency") ? &latency : !strcmp(id, "kernel") ? &kernel : !strcmp(id, "most") ? &most : !strcmp(id, "delay") ? &delay : !strcmp(id, "step") ? &step : !strcmp(id, "served") ? &served : !strcmp(id, "periods") ? &periods : &ramp);
		if (err < 0)
			return err;
	}
	struct card *card = path ? calloc(1, sizeof *card) : NULL;
	if (!card)
		return path ? -ENOMEM : -EINVAL;
	int err = open_bus(card, path, most > channels ? most : channels);
	card->latency = latency;
	card->ramp = ramp;
	card->delay = delay;
	card->step = step;
	card->served = served;
	card->kernel = kernel;
	card->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	card->io = (snd_pcm_ioplug_t){ .version = SND_PCM_IOPLUG_VERSION, .callback = &callbacks,
		.name = kernel ? "Hardware PCM card 7 'Test' device 0 subdevice 0" : "Test clock card",
		.private_data = card, .poll_fd = card->timer, .poll_events = POLLIN,
		.flags = SND_PCM_IOPLUG_FLAG_MONOTONIC | (kernel ? SND_PCM_IOPLUG_FLAG_BOUNDARY_WA : 0) };
	if (err >= 0)
		err = snd_pcm_ioplug_create(&card->io, name, stream, mode);
	if (err >= 0) {
		struct bus *bus = card->bus;
		__atomic_fetch_add(&bus->open, 1, __ATOMIC_SEQ_CST);
		long open = bus->channels ? bus->channels : most ? most : channels;
		err = constrain(&card->io, allowed, most && !bus->channels ? 1 : open, open, bus->rate ? bus->rate : rate, bus->period, periods);
		if (err >= 0) {
			*pcmp = card->io.pcm;
			return 0;
		}
		snd_pcm_ioplug_delete(&card->io); /* closes the card */
		return err;
	}
	if (card->bus)
		munmap(card->bus, card->bus_bytes);
	close(card->timer);
	free(card);
	return err;
}
SND_PCM_PLUGIN_SYMBOL(clk);
