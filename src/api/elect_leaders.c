// ElectLeaders (KIP-460): the controller decides (controller/leadership.c).
#include "api/call.h"

void api_elect_leaders(struct api_call *call) {
    api_to_controller(call, NULL);
}
