_base_ = ['mmdet::_base_/schedules/schedule_2x.py', '../detection_runtime.py']
