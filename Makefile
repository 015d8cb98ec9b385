# An alias of course.py: `make lab` = `python course.py lab`. See `make help`.
PYTHON ?= $(shell command -v python3 || command -v python)

.PHONY: help lab setup test check faults update course lecture notebooks tables lint docs
help lab setup test check faults update notebooks tables lint docs:
	@$(PYTHON) course.py $@ $(ARGS)
# parameters of the chapters, where make's own command line gives them: make course PRESET=smoke
course:
	@$(PYTHON) course.py course $(foreach name,PRESET SEED DATA DEVICE THREADS,$(if \
	$(findstring command line,$(origin $(name))),'$(name)=$(subst ','\'',$($(name)))')) $(ARGS)
lecture:
	@$(PYTHON) course.py lecture $(CH) $(ARGS)
